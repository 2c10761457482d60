/**
 * Runs projectors: one unfiltered reader of the log for all of them, from the lowest checkpoint on,
 * catch-up and live with the same code. A lease per projector elects who runs it (liveness); the
 * compare-and-set of its lane makes two runners harmless (safety). Whatever fails, the session
 * ends, waits, and begins anew from the database's own checkpoints: never skipped, never twice (I8).
 *
 * A log that is behind the read models, or holds another commit at their position, was restored or
 * replaced. Going on would diverge in silence, so the runner stops and says so.
 */
import { AppError } from "../schemas/errors.ts";
import type { ActorRef, Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { gather } from "./batches.ts";
import { ensureCatalog, type Generation } from "./catalog.ts";
import { type Lane, type Logged, LostRace, openLane } from "./lane.ts";
import type { Database } from "./postgres.ts";
import type { Projector } from "./projector.ts";

/** The log, as far as projections need it. */
export interface LogSource {
  /** Everything behind `after`, then what comes, until the signal. */
  read(after: number, signal: AbortSignal): AsyncIterable<Logged>;
  /** The last EVENTS sequence; 0 when there is none. */
  last(): Promise<number>;
  /** SHA-256 of the stored bytes at a sequence, hex; null when nothing stands there. */
  hashAt(sequence: number): Promise<string | null>;
}

/** Who runs which projector. */
export interface Leases {
  /** Whether we are to run it now. */
  held(projector: string): boolean;
  /** Calls back when the answer may have changed; the result ends it. */
  changes(call: () => void): () => void;
}

export type Report = (problem: {
  readonly what: string;
  readonly ref?: ActorRef;
  readonly error?: unknown;
}) => void;

export interface RunnerPorts {
  readonly source: LogSource;
  readonly leases: Leases;
  readonly announce: (projector: string, sequence: number) => void;
  readonly database: Database;
  readonly projectors: readonly Projector[];
  readonly clock: Clock;
  readonly report: Report;
}

export interface Runner {
  /** Whether every projector has seen what the log held `projection_lag_ready_ms` ago. */
  caughtUp(): boolean;
  /** Sequences that each projector is behind. */
  lag(): Readonly<Record<string, number>>;
  positions(): Readonly<Record<string, number>>;
  /** Why it has stopped for good; null while it runs. */
  problem(): string | null;
  stop(): Promise<void>;
}

/** The log and the read models contradict each other. */
class Contradiction extends Error {}

/** How often the log's end and everybody's positions are looked at. */
const look_ms = 1_000;

export function startRunner(ports: RunnerPorts): Runner {
  const { source, leases, announce, database, clock, report } = ports;
  const stopping = new AbortController();
  const positions = new Map<string, number>();
  const tips: { at: number; sequence: number }[] = [];
  let problem: string | null = null;

  /** Waits `ms`, or for the stop. */
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (stopping.signal.aborted) return resolve();
      const done = (): void => {
        cancel();
        stopping.signal.removeEventListener("abort", done);
        resolve();
      };
      const cancel = clock.after(ms, done);
      stopping.signal.addEventListener("abort", done);
    });

  const compare = async (lane: Lane): Promise<void> => {
    const { position, hash } = lane.checkpoint();
    if (position === 0) return;
    const { name } = lane.generation.projector;
    const end = await source.last();
    if (end < position) {
      throw new Contradiction(
        `The log ends at ${end}, but the read model ${name} has seen ${position}: the log is behind. ` +
          "Restore the log that belongs to this database, or let the read models be built anew.",
      );
    }
    if ((await source.hashAt(position)) !== hash) {
      throw new Contradiction(
        `The log holds another commit at ${position} than the one the read model ${name} has seen. ` +
          "Restore the log that belongs to this database, or let the read models be built anew.",
      );
    }
  };

  /** Runs the lanes that are ours until something changes. */
  const session = async (signal: AbortSignal, progress: () => void): Promise<void> => {
    const generations = await ensureCatalog(database, ports.projectors);
    const ours = generations.filter((one: Generation) => leases.held(one.projector.name));
    const lanes: Lane[] = [];
    for (const generation of ours) {
      const lane = await openLane(database, generation);
      await compare(lane);
      lanes.push(lane);
    }
    const from = Math.min(...lanes.map((lane) => lane.checkpoint().position));
    for (const lane of lanes) tell(lane);
    if (lanes.length === 0) {
      if (signal.aborted) return;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      return;
    }
    const commits_max =
      database.dialect === "pglite" ? limits.batch_commits_pglite_max : limits.batch_commits_max;
    for await (const batch of gather(source.read(from, signal), clock, commits_max)) {
      if (signal.aborted) return;
      // All to their end, also when one fails: no transaction outlives its session.
      const results = await Promise.allSettled(lanes.map((lane) => advance(lane, batch)));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      progress();
    }
  };

  const advance = async (lane: Lane, batch: readonly Logged[]): Promise<void> => {
    for (const { ref, reason } of await lane.apply(batch)) {
      report({ what: `${lane.generation.projector.name} has parked an actor: ${reason}`, ref });
    }
    tell(lane);
  };

  const tell = (lane: Lane): void => {
    const { name } = lane.generation.projector;
    const { position } = lane.checkpoint();
    positions.set(name, position);
    announce(name, position);
  };

  const run = async (): Promise<void> => {
    let backoff_ms: number = limits.runner_backoff_ms;
    while (!stopping.signal.aborted) {
      const ending = new AbortController();
      const end = (): void => ending.abort();
      stopping.signal.addEventListener("abort", end);
      const unwatch = leases.changes(end);
      try {
        await session(ending.signal, () => (backoff_ms = limits.runner_backoff_ms));
      } catch (error) {
        if (error instanceof Contradiction) {
          problem = error.message;
          report({ what: problem });
          return;
        }
        if (!ending.signal.aborted && !(error instanceof LostRace)) {
          const passing = error instanceof AppError && error.code === "unavailable";
          report({ what: passing ? "Projections wait." : "Projections failed and go on.", error });
        }
      } finally {
        ending.abort();
        unwatch();
        stopping.signal.removeEventListener("abort", end);
      }
      // Also after a normal end, so that leases that change to and fro cannot make it spin.
      await pause(backoff_ms);
      backoff_ms = Math.min(backoff_ms * 2, limits.runner_backoff_ms_max);
    }
  };

  const look = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      try {
        const sequence = await source.last();
        for (const row of await database.query("SELECT name, position FROM read.positions")) {
          positions.set(String(row["name"]), Number(row["position"]));
        }
        tips.push({ at: clock.now(), sequence });
        const oldest = clock.now() - limits.projection_lag_ready_ms;
        while (tips.length > 1 && (tips[1]?.at ?? Infinity) <= oldest) tips.shift();
      } catch {
        // The log or the database is away: the tips grow old, and `caughtUp` says so.
      }
      await pause(look_ms);
    }
  };

  const done = Promise.all([run(), look()]);
  const position = (projector: Projector): number => positions.get(projector.name) ?? 0;

  return {
    caughtUp() {
      const newest = tips.at(-1);
      if (problem !== null || newest === undefined) return false;
      if (clock.now() - newest.at > limits.projection_lag_ready_ms) return false;
      const seen = tips[0]?.sequence ?? 0;
      return ports.projectors.every((projector) => position(projector) >= seen);
    },
    lag() {
      const end = tips.at(-1)?.sequence ?? 0;
      return Object.fromEntries(
        ports.projectors.map((one) => [one.name, Math.max(0, end - position(one))]),
      );
    },
    positions: () => Object.fromEntries(positions),
    problem: () => problem,
    async stop() {
      stopping.abort();
      await done;
    },
  };
}
