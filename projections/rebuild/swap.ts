/**
 * Which generation the views show. A swap is one transaction that locks the row of the live one, so
 * that nobody feeds it meanwhile, and happens only when the new one has seen as much: whoever reads
 * throughout never sees an error nor a step back (I9).
 */
import { AppError } from "../../schemas/errors.ts";
import { lockLive, type Recorded, schemaOf } from "../generations.ts";
import { type Database, type Sql, sqlState } from "../postgres.ts";
import type { Shown } from "../tables.ts";
import { showTables } from "../tables.ts";

/** A view waits for the queries that read it, and whoever comes later waits behind it: not for long. */
const lock_ms = 200;

export const lockShortly = (sql: Sql): Promise<unknown> =>
  sql.query(`SET LOCAL lock_timeout = '${lock_ms}ms'`);

/** Whether an error only says that others hold what was to be locked. */
export const isHeld = (error: unknown): boolean => /^(55P03|40P01)$/.test(sqlState(error) ?? "");

export type NameOf = Pick<Recorded, "name" | "version" | "generation">;

/**
 * Makes `one` the live generation within the transaction of `sql`, if it has seen all that the live
 * one has; else resolves with the position of the live one. `position` is where `one` stands in this
 * transaction, which must hold its row.
 */
export async function swapIn(
  sql: Sql,
  one: NameOf,
  position: number,
  shown: readonly Shown[],
): Promise<number | null> {
  const live = await lockLive(sql, one.name);
  // There is always one: another swap came between, and this one begins anew.
  if (live === null) throw new AppError("unavailable", `Another rebuild of ${one.name} has ended.`);
  if (live.position > position) return live.position;
  await setState(sql, live, "kept");
  await setState(sql, one, "live");
  await showTables(sql, "read", schemaOf(one.name, one.version, one.generation), shown);
  return null;
}

function setState(sql: Sql, one: NameOf, state: "live" | "kept"): Promise<unknown> {
  return sql.query(
    `UPDATE colloquy.generations SET state = $4, updated_at = now()
     WHERE name = $1 AND version = $2 AND generation = $3`,
    [one.name, one.version, one.generation, state],
  );
}

/** Removes a generation that is not the live one, with its tables and the views of a past. */
export async function dropGeneration(database: Database, one: NameOf): Promise<void> {
  await database.transaction(async (sql) => {
    await lockShortly(sql);
    // First its row: whoever feeds it waits here, and then finds nothing to move.
    const [gone] = await sql.query(
      `DELETE FROM colloquy.generations
       WHERE name = $1 AND version = $2 AND generation = $3 AND state <> 'live'
       RETURNING state, until`,
      [one.name, one.version, one.generation],
    );
    if (gone === undefined) {
      throw new AppError(
        "bad_request",
        `Generation ${one.generation} of ${one.name} is live or gone.`,
      );
    }
    await sql.query(`DROP SCHEMA ${schemaOf(one.name, one.version, one.generation)} CASCADE`);
    if (gone["state"] !== "until") return;
    const others = await sql.query(
      "SELECT 1 FROM colloquy.generations WHERE state = 'until' AND until = $1",
      [Number(gone["until"])],
    );
    if (others.length === 0) {
      await sql.query(`DROP SCHEMA IF EXISTS ${pastViews(Number(gone["until"]))} CASCADE`);
    }
  });
}

/** The schema of the views that show the read models as they were at a sequence. */
export const pastViews = (until: number): string => `read_until_${until}`;
