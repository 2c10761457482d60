/**
 * What `/ready` answers: 200 exactly when a turn would work, else which part is missing and why. Who
 * owns the partitions is looked up at most once in a while, however often somebody asks.
 */
import { keptAnswer } from "../cache/kept-answer.ts";
import type { Queries } from "../projections/queries/queries.ts";
import type { Runner } from "../projections/runner.ts";
import type { Clock } from "../schemas/ids.ts";
import type { Readiness } from "../schemas/http.ts";
import { limits } from "../schemas/limits.ts";
import { partitionRanges, type PartitionView } from "../schemas/ownership.ts";
import type { Log } from "../streams/log/log.ts";
import { orphaned, type Ownership } from "../streams/queue/ownership.ts";

interface Parts {
  readonly log: Pick<Log, "lastSequence">;
  /** Null in a process that takes and answers no commands: its NATS user need not see who does. */
  readonly ownership: (() => Promise<Ownership>) | null;
  /** Null in a process without projections. */
  readonly runner: Pick<Runner, "problem" | "caughtUp"> | null;
  readonly queries: Pick<Queries, "positions">;
}

type Check = Readiness["checks"][number];

export async function readiness(parts: Parts): Promise<Readiness> {
  const { ownership } = parts;
  let partitions: readonly PartitionView[] | null = null;
  const actors = async (look: () => Promise<Ownership>): Promise<string | null> => {
    const found = await look();
    partitions = found.partitions;
    return orphans(found);
  };
  const checks = await Promise.all([
    check("nats", () => natsCheck(parts)),
    ...(ownership === null
      ? []
      : [
          check(
            "actors",
            () => actors(ownership),
            () => shares(partitions ?? []).join("; "),
          ),
        ]),
    check("projections", () => projectionsCheck(parts)),
  ]);
  const ready = checks.every(({ ok }) => ok);
  return partitions === null ? { ready, checks } : { ready, checks, partitions };
}

/** Which parts are missing, and why; null when none is. */
export function missingOf({ checks }: Readiness): string | null {
  const missing = checks.filter(({ ok }) => !ok);
  return missing.map(({ name, detail }) => `${name}: ${detail}`).join("; ") || null;
}

/** `null` is fine; a sentence says what is wrong. Bounded, since a probe waits for it. */
async function check(
  name: string,
  look: () => Promise<string | null>,
  fine: () => string = () => "ok",
): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer in ${patience_ms} ms`), patience_ms);
  });
  try {
    const problem = await Promise.race([look(), late]);
    return { name, ok: problem === null, detail: problem ?? fine() };
  } catch (error) {
    return { name, ok: false, detail: error instanceof Error ? error.message : String(error) };
  } finally {
    clearTimeout(timer);
  }
}
const patience_ms = 2_000;

async function natsCheck({ log }: Parts): Promise<string | null> {
  await log.lastSequence();
  return null;
}

/** Which partitions nobody serves, and why; null when there are none. */
export function orphans({ partitions }: Ownership): string | null {
  if (partitions.length === 0) return "the command queue is not set up";
  const reasons = Map.groupBy(partitions.filter(orphaned), ({ why }) => why);
  const found = [...reasons].map(([why, of]) => {
    const named = partitionRanges(of.map(({ partition }) => partition));
    const some = of.length === 1 ? `partition ${named} is` : `partitions ${named} are`;
    const which = of.length === partitions.length ? "all partitions are" : some;
    return `${which} orphaned: ${why ?? "nobody knows why"}`;
  });
  return found.length === 0 ? null : found.join("; ");
}

/** Whose the partitions are, one for each worker and state; `called` names a worker. */
export function shares(
  partitions: readonly PartitionView[],
  called: (worker: string) => string = (worker) => worker,
): string[] {
  const groups = Map.groupBy(partitions, ({ state, worker, why }) => {
    if (state === "owned") return `owned by ${called(worker ?? "")}`;
    if (state === "free") return `free, next ${worker === null ? "anybody's" : called(worker)}`;
    return why === null ? state : `${state}: ${why}`;
  });
  return [...groups].map(
    ([how, of]) => `${partitionRanges(of.map(({ partition }) => partition))} ${how}`,
  );
}

/** Looks again when the last look is this old; sooner when something was wrong. */
const fresh_ms = 2_000;
const doubtful_ms = 250;

/** One look for all who ask within a while: probes of many balancers cost one. */
export const keptLook = (
  look: () => Promise<Ownership>,
  clock: Pick<Clock, "now">,
): (() => Promise<Ownership>) =>
  keptAnswer(
    clock,
    (found) => (found !== null && orphans(found) === null ? fresh_ms : doubtful_ms),
    look,
  );

async function projectionsCheck({ runner, queries, log }: Parts): Promise<string | null> {
  if (runner !== null) {
    const problem = runner.problem();
    if (problem !== null) return problem;
    if (runner.caughtUp()) return null;
  }
  const [end, positions] = await Promise.all([log.lastSequence(), queries.positions()]);
  const behind = Object.entries(positions).filter(([, position]) => end - position > lag_max);
  if (Object.keys(positions).length === 0) return "there are no read models yet";
  if (behind.length === 0) return null;
  return behind.map(([name, position]) => `${name} is ${end - position} events behind`).join(", ");
}
/** Commits that are projected in about `limits.projection_lag_ready_ms`. */
const lag_max = limits.projection_lag_ready_ms;
