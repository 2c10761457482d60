/**
 * The last step of a rebuild and the whole of a rollback: a generation is fed batch by batch, and each
 * of those transactions makes it live if it has seen all that the live one has. Then it is fed until a
 * runner does, so that nothing stands still in between.
 */
import { AppError } from "../../schemas/errors.ts";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { gather } from "../batches.ts";
import {
  type Generation,
  moveCheckpoint,
  readCheckpoint,
  readGenerations,
  readParked,
} from "../generations.ts";
import { checkContiguous, type Logged, LostRace, openLane } from "../lane.ts";
import type { LogSource } from "../log-source.ts";
import type { Database } from "../postgres.ts";
import { applyBatch } from "../projector.ts";
import { refKey } from "../../schemas/ids.ts";
import { shownBy } from "../tables.ts";
import { Poisoned } from "./fill.ts";
import { isHeld, lockShortly, swapIn } from "./swap.ts";

export interface FinishPorts {
  readonly source: LogSource;
  readonly database: Database;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Tells readers how far a live read model has come. */
  readonly announce: (projector: string, sequence: number) => void;
  /** Says why it waits. */
  readonly waits: (why: string) => void;
  /** How long it goes on feeding what it made live, unless a runner does before. */
  readonly handover_ms?: number;
}

/** Makes the generation live. Throws `Poisoned`, `Hole`; resolves early only when told to stop. */
export async function finish(ports: FinishPorts, one: Generation): Promise<void> {
  const { database, clock, signal } = ports;
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      if (await isLive(database, one)) return;
      if (await catchUpAndSwap(ports, one)) return;
      failures = 0;
    } catch (error) {
      // Held by others, another feeder was quicker, or the database is away for a moment.
      const passing = error instanceof AppError && error.code === "unavailable";
      if (!passing && !(error instanceof LostRace)) throw error;
      if (isHeld(error) && failures % 10 === 9) {
        ports.waits(
          `The views of ${one.projector.name} are being read without a pause; trying again.`,
        );
      } else if (passing && !isHeld(error)) ports.waits(error.message);
    }
    await after(clock, Math.min(50 * 2 ** Math.min(failures, 5), 1_000));
  }
}

async function isLive(database: Database, one: Generation): Promise<boolean> {
  const found = (await readGenerations(database)).find(
    ({ name, generation }) => name === one.projector.name && generation === one.generation,
  );
  if (found === undefined) {
    throw new AppError(
      "bad_request",
      `Generation ${one.generation} of ${one.projector.name} is gone.`,
    );
  }
  return found.state === "live";
}

/** True when it is live; false when the reading has ended before. */
async function catchUpAndSwap(ports: FinishPorts, one: Generation): Promise<boolean> {
  const { database, source, clock } = ports;
  const reading = new AbortController();
  const stop = (): void => reading.abort();
  ports.signal.addEventListener("abort", stop);
  try {
    let checkpoint = await readCheckpoint(database, one);
    const parked = await readParked(database, one);
    const step = async (batch: readonly Logged[]): Promise<boolean> => {
      checkContiguous(batch, checkpoint.position);
      const done = await database.transaction(async (sql) => {
        await lockShortly(sql);
        const last = batch.at(-1);
        const to = last === undefined ? checkpoint : { position: last.sequence, hash: last.hash };
        // Also without a batch: it locks the row and proves that nobody else has moved it.
        if ((await moveCheckpoint(sql, one, checkpoint, to)) === null) {
          throw new LostRace(one.projector.name);
        }
        const commits = batch.flatMap((logged) => {
          if (!("undecodable" in logged)) return [logged];
          if (parked.has(refKey(logged.ref))) return [];
          throw new Poisoned(one.projector.name, logged, logged.reason);
        });
        const skip = (ref: Logged["ref"]): boolean => parked.has(refKey(ref));
        const [poison] = await applyBatch(one.projector, one.schema, commits, sql, skip);
        if (poison !== undefined) throw new Poisoned(one.projector.name, poison, poison.reason);
        const { name, version } = one.projector;
        const named = { name, version, generation: one.generation };
        const ahead = await swapIn(sql, named, to.position, shownBy(one.projector));
        return { to: { ...to, epoch: checkpoint.epoch }, swapped: ahead === null };
      });
      checkpoint = done.to;
      return done.swapped;
    };
    if (await step([])) return true;
    const commits_max =
      database.dialect === "pglite" ? limits.batch_commits_pglite_max : limits.batch_commits_max;
    const batches = source.read({ after: checkpoint.position, signal: reading.signal });
    for await (const batch of gather(batches, clock, commits_max)) {
      if (reading.signal.aborted) return false;
      if (await step(batch)) {
        ports.announce(one.projector.name, checkpoint.position);
        return true;
      }
    }
    return false;
  } finally {
    reading.abort();
    ports.signal.removeEventListener("abort", stop);
  }
}

/** A runner looks every second for what it is to feed; this long it may take. */
const handover_usual_ms = 3_000;

/** Feeds what has become live until a runner does, or until it is clear that there is none. */
export async function handOver(ports: FinishPorts, one: Generation): Promise<void> {
  const { database, source, clock } = ports;
  const reading = new AbortController();
  const stop = (): void => reading.abort();
  ports.signal.addEventListener("abort", stop);
  const cancel = clock.after(ports.handover_ms ?? handover_usual_ms, stop);
  try {
    const lane = await openLane(database, one);
    const from = lane.checkpoint().position;
    ports.announce(one.projector.name, from);
    const batches = source.read({ after: from, signal: reading.signal });
    for await (const batch of gather(batches, clock)) {
      if (reading.signal.aborted) return;
      await lane.apply(batch);
      ports.announce(one.projector.name, lane.checkpoint().position);
    }
  } catch {
    // Somebody else feeds it, or will: it is live, and a runner needs nobody's help.
  } finally {
    cancel();
    reading.abort();
    ports.signal.removeEventListener("abort", stop);
  }
}

const after = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => void clock.after(ms, resolve));
