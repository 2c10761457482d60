/**
 * Rows in and out of a projector's tables, many in one statement: arrays unnested side by side, so
 * a statement's text does not depend on how many rows it carries. Statements are built from the
 * names that projectors declare, never from data.
 */
import type { ActorRef } from "../schemas/ids.ts";
import type { Row, Sheet, SheetChange, Table } from "./projector.ts";
import type { Sql } from "./postgres.ts";

/** The column with the actor's id. */
export const actorColumn = ({ key }: Table): string => (key[1] === "kind" ? key[2] : key[1]) ?? "";

/** The SQL type of a column without its collation, for casts. */
export const bare = (type: string): string => type.replace(/ COLLATE .*$/, "");

const stamp = (column: string): string =>
  `to_char(t.${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${column}`;

/** Columns as a fold reads them: ids, times and money as text. */
const readable = (table: Table): string =>
  Object.entries(table.columns)
    .map(([column, type]) => {
      if (type.startsWith("timestamptz")) return stamp(column);
      return /^(uuid|numeric)/.test(type) ? `t.${column}::text AS ${column}` : `t.${column}`;
    })
    .join(", ");

/** Where rows `t` are those of the actors `w (tenant, kind, actor)`. */
const ofActors = (table: Table): string =>
  `t.tenant = w.tenant AND t.${actorColumn(table)} = w.actor${
    table.key.includes("kind") ? " AND t.kind = w.kind" : ""
  }`;

/** The stored rows of `wanted`; a null part is the actor's one row. */
export async function loadRows(
  sheet: Sheet,
  schema: string,
  wanted: readonly { readonly ref: ActorRef; readonly part: string | null }[],
  sql: Sql,
): Promise<readonly Row[]> {
  const { table, part } = sheet;
  const byPart = part === null ? "" : ` AND t.${part} = w.part::${bare(table.columns[part] ?? "")}`;
  const rows = await sql.query(
    `SELECT ${readable(table)}
     FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[]) AS w (tenant, kind, actor, part)
     JOIN ${schema}.${table.name} t ON ${ofActors(table)}${byPart}`,
    [
      wanted.map(({ ref }) => ref.tenant),
      wanted.map(({ ref }) => ref.kind),
      wanted.map(({ ref }) => ref.id),
      wanted.map((one) => one.part),
    ],
  );
  // `readable` selects exactly the columns of a row, as strings, numbers and nulls.
  return rows as readonly Row[];
}

/** Postgres text holds no NUL; it becomes the replacement character, the same in every rebuild. */
export const storable = (value: string | number | boolean | null): string | number | null => {
  if (typeof value === "string") return value.replaceAll("\0", "\u{fffd}");
  return typeof value === "boolean" ? String(value) : value;
};

/** Removes all rows of these actors. */
export async function deleteRows(
  table: Table,
  schema: string,
  actors: readonly ActorRef[],
  sql: Sql,
): Promise<void> {
  if (actors.length === 0) return;
  await sql.query(
    `DELETE FROM ${schema}.${table.name} t
     USING unnest($1::text[], $2::text[], $3::uuid[]) AS w (tenant, kind, actor)
     WHERE ${ofActors(table)}`,
    [
      actors.map(({ tenant }) => tenant),
      actors.map(({ kind }) => kind),
      actors.map(({ id }) => id),
    ],
  );
}

/** `ON CONFLICT …` of an INSERT that overwrites the row that is there. */
export function overwrite(table: Table): string {
  const updates = Object.keys(table.columns)
    .filter((column) => !table.key.includes(column))
    .map((column) => `${column} = excluded.${column}`);
  const then = updates.length === 0 ? "NOTHING" : `UPDATE SET ${updates.join(", ")}`;
  return `ON CONFLICT (${table.key.join(", ")}) DO ${then}`;
}

/** Writes rows, whether they are there already or not. */
export async function upsertRows(
  table: Table,
  schema: string,
  rows: readonly Row[],
  sql: Sql,
): Promise<void> {
  if (rows.length === 0) return;
  const columns = Object.keys(table.columns);
  const casts = Object.values(table.columns).map((type, index) => `$${index + 1}::${bare(type)}[]`);
  await sql.query(
    `INSERT INTO ${schema}.${table.name} (${columns.join(", ")})
     SELECT * FROM unnest(${casts.join(", ")}) ${overwrite(table)}`,
    columns.map((column) => rows.map((row) => storable(row[column] ?? null))),
  );
}

export async function writeRows(change: SheetChange, schema: string, sql: Sql): Promise<void> {
  const { table } = change.sheet;
  await deleteRows(table, schema, [...change.cleared.values()], sql);
  const rows: Row[] = [];
  for (const key of change.put) {
    const row = change.rows.get(key);
    if (row) rows.push(row);
  }
  await upsertRows(table, schema, rows, sql);
}
