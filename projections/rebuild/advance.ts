/**
 * Brings a generation from where its locked row stands to exactly one sequence, within a transaction
 * that also holds the live one: what is left to do is so little that nobody notices the wait.
 */
import { refKey } from "../../schemas/ids.ts";
import { type Generation, moveCheckpoint, readCheckpoint, readParked } from "../generations.ts";
import { checkContiguous, type Logged, LostRace } from "../lane.ts";
import type { LogSource } from "../log-source.ts";
import type { Sql } from "../postgres.ts";
import { applyBatch } from "../projector.ts";
import { Poisoned } from "./fill.ts";

/** Sequences that may be left for the last transaction; short enough for PGlite, too. */
export const tail_max = 250;

/** Resolves with its position, which is `until` or behind it already. Throws `Poisoned`, `Hole`. */
export async function advance(
  ports: { readonly source: LogSource; readonly signal: AbortSignal },
  sql: Sql,
  one: Generation,
  until: number,
): Promise<number> {
  const checkpoint = await readCheckpoint(sql, one);
  if (checkpoint.position >= until) return checkpoint.position;
  const { source, signal } = ports;
  const logged: Logged[] = [];
  for await (const batch of source.read({ after: checkpoint.position, until, signal })) {
    logged.push(...batch);
  }
  checkContiguous(logged, checkpoint.position);
  const last = logged.at(-1);
  if (last === undefined) return checkpoint.position;
  const to = { position: last.sequence, hash: last.hash };
  const { projector, schema } = one;
  if ((await moveCheckpoint(sql, one, checkpoint, to)) === null) throw new LostRace(projector.name);
  const parked = await readParked(sql, one);
  const commits = logged.flatMap((commit) => {
    if (parked.has(refKey(commit.ref))) return [];
    if ("undecodable" in commit) throw new Poisoned(projector.name, commit, commit.reason);
    return [commit];
  });
  const [poison] = await applyBatch(projector, schema, commits, sql, () => false);
  if (poison !== undefined) throw new Poisoned(projector.name, poison, poison.reason);
  return to.position;
}
