/**
 * Runs projectors: catch-up and live with the same code, from the checkpoints on. A lease per projector
 * and version elects who runs it (liveness); the compare-and-set of its lane makes two runners harmless
 * (safety). It feeds the live generation and the kept ones of the versions that this release knows, and
 * looks every second whether there are others. Whatever fails, the session ends, waits, and begins anew
 * from the database's own checkpoints: never skipped, never twice (I8).
 *
 * A log that is behind the read models, lacks a commit, or holds another one at their position was
 * damaged, restored or replaced. Going on would diverge in silence, so the runner stops and says so.
 */
import { AppError } from "../schemas/errors.ts";
import type { ActorRef, Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { gather, openWanted } from "./batches.ts";
import { ensureCatalog } from "./catalog.ts";
import { compare, Contradiction, holeIn } from "./contradictions.ts";
import { generationOf, leaseOf, readGenerations, type Recorded } from "./generations.ts";
import { jointly } from "./joint.ts";
import { Hole, type Lane, LostRace, openLane } from "./lane.ts";
import { groupLanes } from "./lane-groups.ts";
import type { LogSource } from "./log-source.ts";
import type { Database } from "./postgres.ts";
import type { Projector } from "./projector.ts";
import { advise } from "./versions.ts";

/** Who runs which projector; names are those of `leaseOf`. */
export interface Leases {
  /** Whether we are to run it now. */
  held(lease: string): boolean;
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
  /** Sequences that each live read model is behind. */
  lag(): Readonly<Record<string, number>>;
  positions(): Readonly<Record<string, number>>;
  /** Somebody waits to read what the log holds at this sequence; of other processes nobody hears. */
  want(sequence: number): void;
  /** Why it has stopped for good, or what an operator must run first; null while all is well. */
  problem(): string | null;
  stop(): Promise<void>;
}

/** How often the log's end, everybody's positions and the set of generations are looked at. */
const look_ms = 1_000;

/** What a session feeds, as text: another one needs another session. */
const setOf = (recorded: readonly Recorded[]): string =>
  recorded
    .filter(({ state }) => state === "live" || state === "kept")
    .map(({ name, version, generation, state }) => `${name} ${version} ${generation} ${state}`)
    .join(", ");

export function startRunner(ports: RunnerPorts): Runner {
  const { source, leases, announce, database, clock, report } = ports;
  const together = jointly(database);
  const wanted = openWanted();
  const stopping = new AbortController();
  const positions = new Map<string, number>();
  const tips: { at: number; sequence: number }[] = [];
  let stopped: string | null = null;
  let advice: string | null = null;
  const said = new Set<string>();
  /** The set and the lanes of the session that runs. */
  let feeding: { readonly set: string; readonly lanes: readonly Lane[] } = { set: "", lanes: [] };
  let endSession = (): void => undefined;

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

  const say = (sentence: string): void => {
    if (said.has(sentence)) return;
    said.add(sentence);
    report({ what: sentence });
  };

  /** The generations that are ours to feed: of our versions, with the lease. */
  const openLanes = async (recorded: readonly Recorded[]): Promise<Lane[]> => {
    const lanes: Lane[] = [];
    for (const { name, version, generation, state } of recorded) {
      const projector = ports.projectors.find(
        (one) => one.name === name && one.version === version,
      );
      if (projector === undefined || (state !== "live" && state !== "kept")) continue;
      if (!leases.held(leaseOf(projector))) continue;
      const one = generationOf(projector, generation);
      const lane = await openLane(together, one, state === "live", true);
      await compare(source, name, lane.checkpoint());
      lanes.push(lane);
    }
    return lanes;
  };

  /** Runs the lanes that are ours until something changes. */
  const session = async (ending: AbortController, progress: () => void): Promise<void> => {
    const { signal } = ending;
    const recorded = await ensureCatalog(database, ports.projectors);
    const { must, may } = advise(ports.projectors, recorded);
    advice = must;
    for (const sentence of [must, may]) if (sentence !== null) say(sentence);
    const lanes = await openLanes(recorded);
    feeding = { set: setOf(recorded), lanes };
    lanes.forEach(tell);
    if (lanes.length === 0) {
      if (signal.aborted) return;
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      return;
    }
    // To their end, also when one fails: no transaction outlives its session.
    const results = await Promise.allSettled(
      groupLanes(lanes).map(async ({ members, merge }) => {
        try {
          await feed(members, signal, () => {
            progress();
            return merge();
          });
        } finally {
          ending.abort();
        }
      }),
    );
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    await settle(lanes);
  };

  /** Feeds lanes from one reader until the signal, or until `enough` says so. */
  const feed = async (
    lanes: readonly Lane[],
    signal: AbortSignal,
    enough: () => boolean,
  ): Promise<void> => {
    const after = Math.min(...lanes.map((lane) => lane.checkpoint().position));
    const gathering =
      database.dialect === "pglite"
        ? { commits_max: limits.batch_commits_pglite_max, wanted }
        : { commits_max: limits.batch_commits_max };
    for await (const batch of gather(source.read({ after, signal }), clock, gathering)) {
      if (signal.aborted) return;
      const results = await Promise.allSettled(lanes.map((lane) => lane.apply(batch)));
      for (const [at, lane] of lanes.entries()) {
        const result = results[at];
        if (result?.status !== "fulfilled") continue;
        for (const { ref, reason } of result.value) {
          report({ what: `${lane.generation.projector.name} has parked an actor: ${reason}`, ref });
        }
        tell(lane);
      }
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
      if (enough()) return;
    }
  };

  const settle = async (lanes: readonly Lane[]): Promise<void> => {
    await Promise.all(lanes.map((lane) => lane.settle()));
  };

  /** Only what the views show is told: a kept generation may be ahead of them or behind. */
  const tell = (lane: Lane): void => {
    if (!lane.live()) return;
    const { name } = lane.generation.projector;
    const { position } = lane.checkpoint();
    positions.set(name, position);
    announce(name, position);
  };

  const run = async (): Promise<void> => {
    let backoff_ms: number = limits.runner_backoff_ms;
    while (!stopping.signal.aborted) {
      const ending = new AbortController();
      endSession = (): void => ending.abort();
      stopping.signal.addEventListener("abort", endSession);
      const unwatch = leases.changes(endSession);
      try {
        await session(ending, () => (backoff_ms = limits.runner_backoff_ms));
        backoff_ms = limits.runner_backoff_ms;
      } catch (thrown) {
        const error = thrown instanceof Hole ? await holeIn(source, thrown) : thrown;
        if (error instanceof Contradiction) {
          stopped = error.message;
          report({ what: stopped });
          return;
        }
        if (!stopping.signal.aborted && !(error instanceof LostRace)) {
          const passing = error instanceof AppError && error.code === "unavailable";
          report({ what: passing ? "Projections wait." : "Projections failed and go on.", error });
        }
      } finally {
        ending.abort();
        unwatch();
        stopping.signal.removeEventListener("abort", endSession);
      }
      // Also after a normal end, so that leases that change to and fro cannot make it spin.
      await pause(backoff_ms);
      backoff_ms = Math.min(backoff_ms * 2, limits.runner_backoff_ms_max);
    }
  };

  const look = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const { set, lanes } = feeding;
      const reached = Math.max(0, ...lanes.map((lane) => lane.checkpoint().position));
      try {
        const sequence = await source.last();
        const recorded = await readGenerations(database);
        for (const { name, state, position } of recorded) {
          if (state === "live") positions.set(name, position);
        }
        await settle(lanes);
        lanes.forEach(tell);
        tips.push({ at: clock.now(), sequence });
        const oldest = clock.now() - limits.projection_lag_ready_ms;
        while (tips.length > 1 && (tips[1]?.at ?? Infinity) <= oldest) tips.shift();
        // A new session feeds what there is now, and looks whether the log is still the same.
        const changed = set !== "" && set === feeding.set && setOf(recorded) !== set;
        if (changed || sequence < reached) endSession();
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
      if (stopped !== null || advice !== null || newest === undefined) return false;
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
    want: (sequence) => wanted.want(sequence),
    problem: () => stopped ?? advice,
    async stop() {
      stopping.abort();
      await done;
    },
  };
}
