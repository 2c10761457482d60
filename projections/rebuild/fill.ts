/**
 * Fills generations from the log in bulk, all from one decode: fold into the cache, flush, go on
 * folding while the flush is written. Where it was killed it goes on. An event that cannot be applied
 * stops it, since a read model with a parked actor is no better than the one it is to replace.
 */
import type { Commit } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Checkpoint, type Generation, type Place, readCheckpoint } from "../generations.ts";
import { checkContiguous, type Logged } from "../lane.ts";
import type { LogSource } from "../log-source.ts";
import type { Database } from "../postgres.ts";
import { createRowCache } from "./row-cache.ts";
import { prepareWrite } from "./write.ts";

/** What has been folded so far; told every few hundred milliseconds at most. */
export interface Progress {
  /** EVENTS sequences. */
  readonly position: number;
  readonly end: number;
  /** Since this process began. */
  readonly events: number;
  readonly commits: number;
  readonly elapsed_ms: number;
}

export interface FillPorts {
  readonly source: LogSource;
  readonly database: Database;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly progress: (progress: Progress) => void;
  /** How much is gathered before it is written; the defaults are the limits. */
  readonly bounds?: Bounds;
}

export interface Bounds {
  readonly flush_rows: number;
  readonly cache_rows_max: number;
}

/** An event that no read model can be made of. */
export class Poisoned extends AppError {
  constructor(name: string, logged: Pick<Logged, "ref" | "sequence">, reason: string) {
    const { tenant, kind, id } = logged.ref;
    super(
      "internal",
      `${name} cannot be built: the commit at ${logged.sequence} of the ${kind} ${id} (${tenant}) cannot be applied: ${reason}`,
    );
    this.name = "Poisoned";
  }
}

const told_ms = 200;

/**
 * Fills all generations up to the sequence `end`, from wherever each stands. Throws `Poisoned`, `Hole`,
 * `LostRace`, `AppError("unavailable")`; resolves early when the signal says so.
 */
export async function fill(
  ports: FillPorts,
  generations: readonly Generation[],
  end: number,
): Promise<void> {
  const { source, database, clock, signal } = ports;
  const bounds = ports.bounds ?? boundsOf(database);
  const begun_ms = clock.now();
  const checkpoints = new Map<Generation, Checkpoint>();
  for (const one of generations) checkpoints.set(one, await readCheckpoint(database, one));
  const standing = (one: Generation): number => checkpoints.get(one)?.position ?? 0;
  // What each had seen when this began: what lies behind is folded into it, also while it is written.
  const begun = new Map(checkpoints);
  const seen = (one: Generation): number => begun.get(one)?.position ?? 0;
  const after = Math.min(...generations.map(standing));
  const cache = createRowCache(database, generations);
  const names = generations.map(({ projector }) => projector.name).join(", ");

  let flushing: Promise<void> | null = null;
  let place: Place = { position: after, hash: "" };
  const counted = { events: 0, commits: 0 };
  let told = 0;
  const tell = (): void => {
    const elapsed_ms = clock.now() - begun_ms;
    ports.progress({ position: place.position, end, ...counted, elapsed_ms });
  };

  const settle = async (): Promise<void> => {
    await flushing;
    flushing = null;
    cache.trim(bounds.cache_rows_max, limits.rebuild_chars_max);
  };
  const flush = async (): Promise<void> => {
    await settle();
    const to = place;
    const writes: (() => Promise<void>)[] = [];
    for (const [one, rows] of cache.take()) {
      const from = checkpoints.get(one);
      if (from === undefined || from.position >= to.position) continue;
      const write = prepareWrite(database, one, rows);
      writes.push(() => write(from, to));
      checkpoints.set(one, { ...to, epoch: from.epoch });
    }
    flushing = database.dialect === "pglite" ? oneByOne(writes) : all(writes);
    // Met at the next flush, and not unhandled until then.
    flushing.catch(() => undefined);
  };

  if (after < end) {
    const reading = source.read({ after, until: end, signal, hashes: "last" });
    for await (const batch of reading) {
      if (signal.aborted) break;
      checkContiguous(batch, place.position);
      const commits = readable(batch, names);
      await cache.apply(commits, seen, (commit, error) => {
        throw new Poisoned(names, commit, error instanceof Error ? error.message : String(error));
      });
      for (const { events } of commits) counted.events += events.length;
      counted.commits += batch.length;
      const last = batch.at(-1);
      if (last !== undefined) place = { position: last.sequence, hash: last.hash };
      const { rows, chars } = cache.waiting();
      if (rows >= bounds.flush_rows || chars >= limits.rebuild_flush_chars) await flush();
      if (clock.now() - told >= told_ms && place.position < end) {
        told = clock.now();
        tell();
      }
    }
  }
  if (!signal.aborted && place.hash !== "") await flush();
  await settle();
  tell();
}

function readable(batch: readonly Logged[], names: string): Commit[] {
  const commits: Commit[] = [];
  for (const logged of batch) {
    if ("undecodable" in logged) throw new Poisoned(names, logged, logged.reason);
    commits.push(logged);
  }
  return commits;
}

/** On PGlite everybody waits for a transaction, so each array of the reader is one. */
const boundsOf = ({ dialect }: Database): Bounds =>
  dialect === "pglite"
    ? { flush_rows: 1, cache_rows_max: limits.rebuild_rows_max }
    : { flush_rows: limits.rebuild_flush_rows, cache_rows_max: limits.rebuild_rows_max };

/** To the end of each, also when one fails: no transaction outlives its rebuild. */
async function all(writes: readonly (() => Promise<void>)[]): Promise<void> {
  const results = await Promise.allSettled(writes.map((write) => write()));
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function oneByOne(writes: readonly (() => Promise<void>)[]): Promise<void> {
  for (const write of writes) await write();
}
