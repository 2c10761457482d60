/**
 * Row by row, whether two generations of a projector hold the same: by key ranges, in short statements
 * of their own, so that nobody waits for a comparison. Rows are compared as the text that Postgres
 * makes of them, which is exact.
 */
import type { Sql, SqlRow, SqlValue } from "../postgres.ts";
import type { Table } from "../projector.ts";
import { bare } from "../rows.ts";

/** A row's key, as text, in the order of the table's key. */
export type Key = readonly string[];

/** A row that is not the same in both. */
export interface Difference {
  readonly table: string;
  /** Column → text. */
  readonly key: Readonly<Record<string, string>>;
  /** Column → what the live one holds and what the log gives; a missing row has no columns. */
  readonly live: Readonly<Record<string, unknown>> | null;
  readonly rebuilt: Readonly<Record<string, unknown>> | null;
}

const typed = (table: Table, from: number): string =>
  table.key
    .map((column, index) => `$${from + index}::${bare(table.columns[column] ?? "text")}`)
    .join(", ");

const keyOf = (table: Table, row: SqlRow): Key => table.key.map((column) => String(row[column]));

/** The keys of the rows that differ now, a list per range of `chunk` rows. */
export async function* differingKeys(
  sql: Sql,
  table: Table,
  schemas: { readonly live: string; readonly aside: string },
  chunk: number,
): AsyncGenerator<{ readonly rows: number; readonly keys: Key[] }> {
  const key = table.key.join(", ");
  const texts = table.key.map((column) => `${column}::text AS ${column}`).join(", ");
  let low: Key | null = null;
  for (;;) {
    const above: string = low === null ? "true" : `(${key}) > (${typed(table, 1)})`;
    const [bound] = await sql.query(
      `SELECT ${texts} FROM ${schemas.live}.${table.name} WHERE ${above}
       ORDER BY ${key} OFFSET ${chunk - 1} LIMIT 1`,
      low ?? [],
    );
    const high: Key | null = bound === undefined ? null : keyOf(table, bound);
    const range: string =
      high === null ? above : `${above} AND (${key}) <= (${typed(table, (low ?? []).length + 1)})`;
    const rows = await sql.query(
      `SELECT ${table.key.map((column) => `coalesce(l.${column}, a.${column})::text AS ${column}`).join(", ")}
       FROM (SELECT * FROM ${schemas.live}.${table.name} WHERE ${range}) l
       FULL JOIN (SELECT * FROM ${schemas.aside}.${table.name} WHERE ${range}) a
         ON ${table.key.map((column) => `l.${column} = a.${column}`).join(" AND ")}
       WHERE l::text IS DISTINCT FROM a::text`,
      [...(low ?? []), ...(high ?? [])],
    );
    yield { rows: chunk, keys: rows.map((row) => keyOf(table, row)) };
    if (high === null) return;
    low = high;
  }
}

/** Which of these rows differ, with what both hold. */
export async function differences(
  sql: Sql,
  table: Table,
  schemas: { readonly live: string; readonly aside: string },
  keys: readonly Key[],
): Promise<Difference[]> {
  if (keys.length === 0) return [];
  const lists = table.key.map(
    (column, index) => `$${index + 1}::${bare(table.columns[column] ?? "text")}[]`,
  );
  const joined = (alias: string): string =>
    table.key.map((column) => `${alias}.${column} = w.${column}`).join(" AND ");
  const rows = await sql.query(
    `SELECT ${table.key.map((column) => `w.${column}::text AS ${column}`).join(", ")},
       to_jsonb(l) AS live_row, to_jsonb(a) AS aside_row
     FROM unnest(${lists.join(", ")}) AS w (${table.key.join(", ")})
     LEFT JOIN ${schemas.live}.${table.name} l ON ${joined("l")}
     LEFT JOIN ${schemas.aside}.${table.name} a ON ${joined("a")}
     WHERE l::text IS DISTINCT FROM a::text
     ORDER BY ${table.key.map((column) => `w.${column}`).join(", ")}`,
    table.key.map((_, index): SqlValue => keys.map((key) => key[index] ?? null)),
  );
  return rows.map((row) => ({
    table: table.name,
    key: Object.fromEntries(table.key.map((column) => [column, String(row[column])])),
    // A row as JSON is an object of its columns.
    live: row["live_row"] as Difference["live"],
    rebuilt: row["aside_row"] as Difference["rebuilt"],
  }));
}
