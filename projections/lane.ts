/**
 * One projector's way through the log: batch by batch, each one transaction that moves the
 * checkpoint by compare-and-set and writes the rows. Nothing is skipped and nothing is applied
 * twice, whoever else runs and wherever the connection breaks (I8): after any error the lane is
 * opened anew from what the database says.
 *
 * A lane that is opened lazily moves no checkpoint for a batch that changes no row: the rows are those of
 * its end already, so the lane has reached it, and the database is told later (`settle`). Read models
 * that seldom change would cost each batch a statement more, for which everybody waits on PGlite.
 */
import type { Commit } from "../schemas/commit.ts";
import { type ActorRef, refKey } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import {
  type Checkpoint,
  type Generation,
  moveCheckpoint,
  park,
  type Place,
  readCheckpoint,
  readParked,
} from "./generations.ts";
import { type Database, sqlState } from "./postgres.ts";
import { applyBatch, concerns, type Poison } from "./projector.ts";

/** A commit that the running code cannot decode: it parks its actor. */
export interface Undecodable extends Poison {
  /** SHA-256 of its stored bytes, hex. */
  readonly hash: string;
  readonly undecodable: true;
}
export type Logged = Commit | Undecodable;

/** The checkpoint was moved by somebody else: open the lane anew. */
export class LostRace extends Error {
  constructor(projector: string) {
    super(`another runner has moved the checkpoint of ${projector}`);
    this.name = "LostRace";
  }
}

/** The log lacks what should follow a checkpoint: going on would diverge in silence. */
export class Hole extends Error {
  /** The first sequence that is missing. */
  readonly sequence: number;

  constructor(sequence: number, found: number) {
    super(`the log goes on with ${found} where ${sequence} should stand`);
    this.name = "Hole";
    this.sequence = sequence;
  }
}

/** Throws `Hole` when a batch does not follow a position without a gap. */
export function checkContiguous(batch: readonly Logged[], position: number): void {
  for (const [index, { sequence }] of batch.entries()) {
    if (sequence !== position + 1 + index) throw new Hole(position + 1 + index, sequence);
  }
}

export interface Lane {
  readonly generation: Generation;
  /** What it has reached; the database may name a place before it, with the same rows. */
  checkpoint(): Checkpoint;
  /** Whether the generation was the live one at its last batch, or when it was opened. */
  live(): boolean;
  /** Applies what lies behind the checkpoint; returns what it had to park. Throws `Hole`, `LostRace`. */
  apply(batch: readonly Logged[]): Promise<Poison[]>;
  /** Tells the database what was reached. Throws `LostRace`. */
  settle(): Promise<void>;
}

/** Errors of the data itself: a value out of range, a broken constraint, a row too large. */
const of_data = /^(22|23|54)/;

/**
 * `live`: whether the catalogue calls the generation the live one. `lazily`: a batch that changes no row
 * moves no checkpoint; whoever opens it so calls `settle` now and then.
 */
export async function openLane(
  database: Database,
  generation: Generation,
  live = true,
  lazily = false,
): Promise<Lane> {
  /** What the database says. */
  let stored = await readCheckpoint(database, generation);
  let reached = stored;
  const parked = await readParked(database, generation);
  const { projector, schema } = generation;

  const transact = async (
    batch: readonly Logged[],
    to: Place,
    known: readonly Poison[],
  ): Promise<Poison[]> => {
    const { poisons, state } = await database.transaction(async (sql) => {
      // First of all, so that a second runner waits here and then finds that it came too late.
      const moving = moveCheckpoint(sql, generation, stored, to).then((state) => {
        if (state === null) throw new LostRace(projector.name);
        return state;
      });
      const bad = new Map<string, Poison>(known.map((poison) => [refKey(poison.ref), poison]));
      const good: Commit[] = [];
      for (const logged of batch) {
        const key = refKey(logged.ref);
        if (parked.has(key) || bad.has(key)) continue;
        if ("undecodable" in logged) bad.set(key, logged);
        else good.push(logged);
      }
      const skip = (ref: ActorRef): boolean => parked.has(refKey(ref));
      for (const poison of await applyBatch(projector, schema, good, sql, skip, moving)) {
        bad.set(refKey(poison.ref), poison);
      }
      for (const poison of bad.values()) await park(sql, generation, poison);
      return { poisons: [...bad.values()], state: await moving };
    });
    for (const { ref } of poisons) parked.add(refKey(ref));
    stored = reached = { ...to, epoch: stored.epoch };
    live = state === "live";
    return poisons;
  };

  const apply = async (batch: readonly Logged[]): Promise<Poison[]> => {
    const last = batch.at(-1);
    if (last === undefined) return [];
    const to = { position: last.sequence, hash: last.hash };
    try {
      return await transact(batch, to, []);
    } catch (error) {
      if (!of_data.test(sqlState(error) ?? "")) throw error;
      if (batch.length > 1) {
        // One of them is poison: halve until it stands alone, so the others go on.
        const half = batch.length >> 1;
        const before = await apply(batch.slice(0, half));
        return [...before, ...(await apply(batch.slice(half)))];
      }
      const reason = error instanceof Error ? error.message : String(error);
      const { ref, revision, sequence } = last;
      return transact([], to, [{ ref, revision, sequence, reason }]);
    }
  };

  const changesNothing = (batch: readonly Logged[]): boolean =>
    batch.every((logged) => !("undecodable" in logged) && !concerns(projector, logged));

  /** One after the other: `settle` comes from a clock. */
  let before: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(call: () => Promise<T>): Promise<T> => {
    const mine = before.then(call, call);
    before = mine.catch(() => undefined);
    return mine;
  };

  return {
    generation,
    checkpoint: () => reached,
    live: () => live,
    apply: (batch) =>
      inTurn(async () => {
        const behind = batch.filter(({ sequence }) => sequence > reached.position);
        checkContiguous(behind, reached.position);
        const last = behind.at(-1);
        const far = (last?.sequence ?? 0) - stored.position > limits.checkpoint_behind_max;
        if (!lazily || last === undefined || far || !changesNothing(behind)) return apply(behind);
        reached = { position: last.sequence, hash: last.hash, epoch: stored.epoch };
        return [];
      }),
    settle: () =>
      inTurn(async () => {
        if (reached !== stored) await transact([], reached, []);
      }),
  };
}
