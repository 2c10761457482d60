/** What `/ready` answers: 200 exactly when a turn would work, else which part is missing and why. */
import type { Queries } from "../projections/queries/queries.ts";
import type { Runner } from "../projections/runner.ts";
import type { Readiness } from "../schemas/http.ts";
import { limits } from "../schemas/limits.ts";
import type { Streams } from "../streams/connection.ts";
import type { Log } from "../streams/log.ts";
import type { CommandQueue } from "../streams/queue.ts";
import { presentWorkers } from "../streams/workers.ts";

interface Parts {
  readonly streams: Streams;
  readonly log: Pick<Log, "lastSequence">;
  readonly partitions: number;
  /** Null in a process without actors. */
  readonly queue: CommandQueue | null;
  /** Null in a process without projections. */
  readonly runner: Runner | null;
  readonly queries: Queries;
}

type Check = Readiness["checks"][number];

export async function readiness(parts: Parts): Promise<Readiness> {
  const checks = await Promise.all([
    check("nats", () => natsCheck(parts)),
    check("actors", () => actorsCheck(parts)),
    check("projections", () => projectionsCheck(parts)),
  ]);
  return { ready: checks.every(({ ok }) => ok), checks };
}

/** `null` is fine; a sentence says what is wrong. Bounded, since a probe waits for it. */
async function check(name: string, look: () => Promise<string | null>): Promise<Check> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve(`no answer in ${patience_ms} ms`), patience_ms);
  });
  try {
    const problem = await Promise.race([look(), late]);
    return { name, ok: problem === null, detail: problem ?? "ok" };
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

async function actorsCheck({ streams, partitions, queue }: Parts): Promise<string | null> {
  if (queue?.owned().length === partitions) return null;
  // Whoever is there shares all partitions out.
  const workers = await presentWorkers(streams);
  if (workers.length === 0) return "no worker is there";
  return queue !== null && workers.length === 1 && queue.owned().length === 0
    ? "this worker owns no partition yet"
    : null;
}

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
