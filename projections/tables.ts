/**
 * The tables of a generation and the views over them, made from what a projector declares. A view
 * keeps its columns for ever, in their order and with their types, since releases that run side by
 * side read the same one: a new version may only add some (I9).
 */
import type { Projector, Table } from "./projector.ts";
import type { Sql } from "./postgres.ts";

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
  }
}

/** Makes what is missing of the secondary indexes; each has the number that it is declared under. */
export async function createIndexes(sql: Sql, schema: string, table: Table): Promise<void> {
  for (const [number, index] of table.indexes.entries()) {
    const name = `${table.name}_index_${number + 1}`;
    await sql.query(`CREATE INDEX IF NOT EXISTS ${name} ON ${schema}.${table.name} ${index}`);
  }
}

const shown = (table: Table): string[] =>
  Object.keys(table.columns).filter((column) => !table.hidden.includes(column));

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

/**
 * Lets the views in schema `views` show the tables in `schema`. Columns that only a newer version
 * has are null in an older one. Waits for every query that reads a view now.
 */
export async function showTables(
  sql: Sql,
  views: string,
  schema: string,
  projector: Projector,
): Promise<void> {
  const existing = await readColumns(sql, views);
  for (const { table } of projector.sheets) {
    const own = shown(table);
    const before = existing.get(table.name) ?? [];
    const kept = before.map((column) => {
      const [name = "", ...type] = column.split(" ");
      return own.includes(name) ? name : `NULL::${type.join(" ")} AS ${name}`;
    });
    const names = before.map((column) => column.split(" ")[0]);
    const added = own.filter((column) => !names.includes(column));
    await sql.query(
      `CREATE OR REPLACE VIEW ${views}.${table.name} AS
       SELECT ${[...kept, ...added].join(", ")} FROM ${schema}.${table.name}`,
    );
  }
}
