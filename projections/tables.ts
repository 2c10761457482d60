/**
 * The tables of a generation and the views over them, made from what a projector declares. A view
 * keeps its columns for ever, in their order and with their types, since releases that run side by
 * side read the same one: a new version may only add some (I9).
 */
import { AppError } from "../schemas/errors.ts";
import type { Projector, Table } from "./projector.ts";
import type { Sql } from "./postgres.ts";
import { hasReader, showWalled, wallTable } from "./row-security.ts";
import { reader_role } from "./tenant-query.ts";

/** Makes the schema and its empty tables, without their secondary indexes. */
export async function createTables(sql: Sql, schema: string, projector: Projector): Promise<void> {
  await sql.query(`CREATE SCHEMA ${schema}`);
  for (const { table } of projector.sheets) {
    const columns = Object.entries(table.columns).map(
      ([column, type]) => `${column} ${type}${table.nullable.includes(column) ? "" : " NOT NULL"}`,
    );
    await sql.query(
      `CREATE TABLE ${schema}.${table.name} (
         ${columns.join(", ")}, PRIMARY KEY (${table.key.join(", ")}))`,
    );
    await wallTable(sql, schema, table.name);
  }
}

/** Makes what is missing of the secondary indexes; each has the number that it is declared under. */
export async function createIndexes(sql: Sql, schema: string, table: Table): Promise<void> {
  for (const [number, index] of table.indexes.entries()) {
    const name = `${table.name}_index_${number + 1}`;
    await sql.query(`CREATE INDEX IF NOT EXISTS ${name} ON ${schema}.${table.name} ${index}`);
  }
}

/** `<column> <type>` of what is in a schema, by relation, in the columns' order. */
async function readColumns(sql: Sql, schema: string): Promise<Map<string, string[]>> {
  const rows = await sql.query(
    `SELECT c.relname AS relation, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ||
       CASE WHEN a.attcollation = t.typcollation THEN '' ELSE ' COLLATE "' || k.collname || '"' END
       AS column
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid
     LEFT JOIN pg_collation k ON k.oid = a.attcollation
     WHERE c.relnamespace = to_regnamespace($1) AND c.relkind IN ('r', 'v') AND a.attnum > 0
       AND NOT a.attisdropped
     ORDER BY c.relname, a.attnum`,
    [schema],
  );
  const found = Map.groupBy(rows, (row) => String(row["relation"]));
  return new Map([...found].map(([one, all]) => [one, all.map((row) => String(row["column"]))]));
}

/** What a view is to show: a table, and those of its columns that it has and may show. */
export interface Shown {
  readonly name: string;
  readonly columns: readonly string[];
}

/** What the views over a projector's tables show. */
export const shownBy = ({ sheets }: Projector): Shown[] =>
  sheets.map(({ table: { name, columns, hidden } }) => ({
    name,
    columns: Object.keys(columns).filter((column) => !hidden.includes(column)),
  }));

/**
 * Lets the views in schema `views` show the tables in `schema`. A column that only a newer version has
 * is null in an older one. Waits for every query that reads a view now.
 */
export async function showTables(
  sql: Sql,
  views: string,
  schema: string,
  tables: readonly Shown[],
): Promise<void> {
  const existing = await readColumns(sql, views);
  const reader = views === "read" && (await hasReader(sql));
  for (const { name, columns } of tables) {
    const before = (existing.get(name) ?? []).map((column): [string, string] => {
      const [first = "", ...type] = column.split(" ");
      return [first, type.join(" ")];
    });
    const kept = before.map(([column, type]) =>
      columns.includes(column) ? column : `NULL::${type} AS ${column}`,
    );
    const known = new Set(before.map(([column]) => column));
    const added = columns.filter((column) => !known.has(column));
    await sql.query(
      `CREATE OR REPLACE VIEW ${views}.${name} WITH (security_invoker = true) AS
       SELECT ${[...kept, ...added].join(", ")} FROM ${schema}.${name}`,
    );
    if (views !== "read") continue;
    await showWalled(sql, reader, schema, name);
    if (reader) await sql.query(`GRANT SELECT ON ${views}.${name} TO ${reader_role}`);
  }
}

/** What views can show of tables that the running code does not know: the columns they have now. */
export async function shownBefore(sql: Sql, schema: string): Promise<Shown[]> {
  const [views, tables] = [await readColumns(sql, "read"), await readColumns(sql, schema)];
  return [...tables].flatMap(([name, columns]) => {
    const view = views.get(name);
    if (view === undefined) return [];
    const both = view.filter((column) => columns.includes(column));
    return [{ name, columns: both.map((column) => column.split(" ")[0] ?? "") }];
  });
}

/** Throws a sentence when the tables cannot stand behind the views that there are. */
export async function checkViews(sql: Sql, schema: string, projector: Projector): Promise<void> {
  const [views, tables] = [await readColumns(sql, "read"), await readColumns(sql, schema)];
  for (const { table } of projector.sheets) {
    const own = new Set(tables.get(table.name));
    const lost = views.get(table.name)?.find((column) => !own.has(column));
    if (lost === undefined) continue;
    throw new AppError(
      "internal",
      `The view read.${table.name} shows ${lost}, which version ${projector.version} of ` +
        `${projector.name} lacks: columns may be added, but not dropped nor changed.`,
    );
  }
}
