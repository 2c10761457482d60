/**
 * Writes what a rebuild has folded: for each generation one transaction that moves its checkpoint by
 * compare-and-set and brings the rows, so that a rebuild killed at any moment goes on from there (I8).
 * Rows that are new are copied; rows that may be there are copied aside and then overwrite.
 */
import { type Checkpoint, type Generation, moveCheckpoint, type Place } from "../generations.ts";
import { LostRace } from "../lane.ts";
import { type Database, type Sql, sqlState } from "../postgres.ts";
import type { Table } from "../projector.ts";
import { deleteRows, overwrite, upsertRows } from "../rows.ts";
import { copyText } from "./copy-rows.ts";
import type { SheetRows } from "./row-cache.ts";

/** What one flush brings to one table, ready to be sent. */
interface Load {
  readonly table: Table;
  readonly cleared: SheetRows["cleared"];
  readonly fresh: readonly Uint8Array[];
  readonly changed: readonly Uint8Array[];
}

const unique_violation = "23505";

/** Prepares a flush at once, from the rows as they are now; the result writes it. Throws `LostRace`. */
export function prepareWrite(
  database: Database,
  one: Generation,
  rows: readonly SheetRows[],
): (from: Checkpoint, to: Place) => Promise<void> {
  if (database.dialect === "pglite") {
    return (from, to) =>
      move(database, one, from, to, async (sql) => {
        for (const { sheet, cleared, fresh, changed } of rows) {
          await deleteRows(sheet.table, one.schema, cleared, sql);
          await upsertRows(sheet.table, one.schema, [...fresh, ...changed], sql);
        }
      });
  }
  const loads = rows.map(({ sheet: { table }, cleared, fresh, changed }): Load => {
    return { table, cleared, fresh: copyText(table, fresh), changed: copyText(table, changed) };
  });
  return async (from, to) => {
    const write = (careful: boolean): Promise<void> =>
      move(database, one, from, to, async (sql) => {
        // Whoever loses the last of it loses the checkpoint with it.
        await sql.query("SET LOCAL synchronous_commit = off");
        for (const load of loads) await bring(sql, one.schema, load, careful);
      });
    try {
      await write(false);
    } catch (error) {
      // A fold has put a row that was there without asking for it.
      if (sqlState(error) !== unique_violation) throw error;
      await write(true);
    }
  };
}

function move(
  database: Database,
  one: Generation,
  from: Checkpoint,
  to: Place,
  work: (sql: Sql) => Promise<void>,
): Promise<void> {
  return database.transaction(async (sql) => {
    if ((await moveCheckpoint(sql, one, from, to)) === null) throw new LostRace(one.projector.name);
    await work(sql);
  });
}

async function bring(sql: Sql, schema: string, load: Load, careful: boolean): Promise<void> {
  const { table, cleared, fresh, changed } = load;
  const columns = Object.keys(table.columns).join(", ");
  await deleteRows(table, schema, cleared, sql);
  if (fresh.length > 0 && !careful) {
    await sql.copy(`COPY ${schema}.${table.name} (${columns}) FROM STDIN`, fresh);
  }
  const rest = careful ? [...fresh, ...changed] : changed;
  if (rest.length === 0) return;
  const aside = `aside_${table.name}`;
  await sql.query(`CREATE TEMP TABLE ${aside} (LIKE ${schema}.${table.name}) ON COMMIT DROP`);
  await sql.copy(`COPY ${aside} (${columns}) FROM STDIN`, rest);
  await sql.query(
    `INSERT INTO ${schema}.${table.name} (${columns}) SELECT ${columns} FROM ${aside} ${overwrite(table)}`,
  );
}
