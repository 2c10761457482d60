/**
 * One projector's way through the log: batch by batch, each one transaction that moves the
 * checkpoint by compare-and-set and writes the rows. Nothing is skipped and nothing is applied
 * twice, whoever else runs and wherever the connection breaks (I8): after any error the lane is
 * opened anew from what the database says.
 */
import type { Commit } from "../schemas/commit.ts";
import { type ActorRef, refKey } from "../schemas/ids.ts";
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
import { applyBatch, type Poison } from "./projector.ts";

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
  checkpoint(): Checkpoint;
  /** Whether the generation was the live one at its last batch, or when it was opened. */
  live(): boolean;
  /** Applies what lies behind the checkpoint; returns what it had to park. Throws `Hole`, `LostRace`. */
  apply(batch: readonly Logged[]): Promise<Poison[]>;
}

/** Errors of the data itself: a value out of range, a broken constraint, a row too large. */
const of_data = /^(22|23|54)/;

/** `live`: whether the catalogue calls the generation the live one. */
export async function openLane(
  database: Database,
  generation: Generation,
  live = true,
): Promise<Lane> {
  let checkpoint = await readCheckpoint(database, generation);
  const parked = await readParked(database, generation);
  const { projector, schema } = generation;

  const transact = async (
    batch: readonly Logged[],
    to: Place,
    known: readonly Poison[],
  ): Promise<Poison[]> => {
    const { poisons, state } = await database.transaction(async (sql) => {
      // First of all, so that a second runner waits here and then finds that it came too late.
      const moved = await moveCheckpoint(sql, generation, checkpoint, to);
      if (moved === null) throw new LostRace(projector.name);
      const bad = new Map<string, Poison>(known.map((poison) => [refKey(poison.ref), poison]));
      const good: Commit[] = [];
      for (const logged of batch) {
        const key = refKey(logged.ref);
        if (parked.has(key) || bad.has(key)) continue;
        if ("undecodable" in logged) bad.set(key, logged);
        else good.push(logged);
      }
      const skip = (ref: ActorRef): boolean => parked.has(refKey(ref));
      for (const poison of await applyBatch(projector, schema, good, sql, skip)) {
        bad.set(refKey(poison.ref), poison);
      }
      for (const poison of bad.values()) await park(sql, generation, poison);
      return { poisons: [...bad.values()], state: moved };
    });
    for (const { ref } of poisons) parked.add(refKey(ref));
    checkpoint = { ...to, epoch: checkpoint.epoch };
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

  return {
    generation,
    checkpoint: () => checkpoint,
    live: () => live,
    async apply(batch) {
      const behind = batch.filter(({ sequence }) => sequence > checkpoint.position);
      checkContiguous(behind, checkpoint.position);
      return apply(behind);
    },
  };
}
