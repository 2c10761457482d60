/**
 * `fairness`: what one tenant at full load does to another. A quiet tenant begins a turn now and then
 * and reads: alone (before the load and behind it), beside a loud one that has as many turns running as
 * it is let, and beside strangers: programs that are none of ours and use as much of the cores as the
 * loud tenant made all our processes use. Told are the quiet tenant's P95 values and how many times the
 * idle ones they are (`ratio`; the promise is at most 2), and what the loud one gets done. What the
 * strangers cost is what sharing these cores costs, whatever we do.
 */
import { type Chatter, openChatter } from "./chatter.ts";
import { startDatabase } from "./databases.ts";
import { figure, pause, percentile, type Print } from "./figures.ts";
import { cpuOf, cpuOfTree, type Program, provider, run, serve } from "./processes.ts";

const loud_sockets = 10;
const loud_turns = 200;
const loud_readers = 50;
const quiet_every_ms = 50;

/** Milliseconds. */
interface Felt {
  readonly first: readonly number[];
  readonly read: readonly number[];
}

export async function fairness(
  print: Print,
  scale: number,
  say: (line: string) => void,
): Promise<void> {
  const model = await provider(20, 0);
  const database = await startDatabase();
  const served = await serve("default", {
    OPENAI_BASE_URL: model.url,
    DATABASE_URL: database.url,
  });
  say(`database: ${database.what}`);
  const beside: Program[] = [];
  try {
    const quietToken = await served.token("quiet");
    const quiet = await openChatter(served.url, quietToken);
    const feeling = (ms: number): Promise<Felt> => feel(served.url, quietToken, quiet, ms * scale);
    const ours = [...served.pids(), model.pid].map((pid) => () => cpuOf([pid]));
    const { pid } = database;
    if (pid !== null) ours.push(() => cpuOfTree(pid));
    await feeling(5_000);
    const before = await sharing(ours)(() => feeling(10_000));

    const loud = await run(
      [
        ...["bench/loud-tenant.ts", served.url, await served.token("loud")],
        ...[loud_sockets, loud_turns, loud_readers].map(String),
      ],
      /^loud$/,
    );
    beside.push(loud);
    await pause(5_000);
    const began = { at_ms: performance.now(), done: await doneBy(loud) };
    const busy = await sharing([...ours, () => cpuOf([loud.pid])])(() => feeling(30_000));
    const seconds = (performance.now() - began.at_ms) / 1_000;
    const done = await doneBy(loud);
    await loud.kill();
    // What was under way ends.
    await pause(3_000);
    const after = await feeling(10_000);

    for (const [at, share] of busy.shares.entries()) {
      const more = share - (before.shares[at] ?? 0);
      if (more < 0.01) continue;
      beside.push(await run(["bench/stranger.ts", more.toFixed(3)], /^working$/));
    }
    const strange = await feeling(15_000);

    for (const what of ["first", "read"] as const) {
      const name = `${what === "first" ? "first_token" : "read"}_p95_ms`;
      const alone = percentile([...before.felt[what], ...after[what]], 95);
      const tell = (where: string, felt: Felt): void =>
        print(
          figure("fairness", `${name}_beside_${where}`, percentile(felt[what], 95), "ms", alone),
        );
      print(figure("fairness", `${name}_idle`, alone, "ms"));
      tell("load", busy.felt);
      tell("strangers", strange);
    }
    const rate = (now: number, then: number): number => (now - then) / seconds;
    const { turns, reads } = began.done;
    print(figure("fairness", "loud_turns_per_s", rate(done.turns, turns), "1/s"));
    print(figure("fairness", "loud_reads_per_s", rate(done.reads, reads), "1/s"));
    const cores = busy.shares.reduce((sum, share) => sum + share, 0);
    print(figure("fairness", "cores_busy_beside_load", cores, "cores"));
    quiet.close();
  } finally {
    for (const program of beside) await program.kill();
    await served.end();
    await database.stop();
    await model.end();
  }
}

/** What the quiet tenant feels: a turn and a read at a time, at a steady pace. */
async function feel(url: string, token: string, chatter: Chatter, ms: number): Promise<Felt> {
  const felt = { first: [] as number[], read: [] as number[] };
  const headers = { authorization: `Bearer ${token}` };
  const until = performance.now() + ms;
  while (performance.now() < until) {
    felt.first.push((await chatter.turn("quiet")).first_ms);
    const began = performance.now();
    await (await fetch(`${url}/api/v1/conversations?limit=10`, { headers })).arrayBuffer();
    felt.read.push(performance.now() - began);
    await pause(quiet_every_ms);
  }
  return felt;
}

/** Which part of a core each process uses while something is measured. */
const sharing =
  (cpus: readonly (() => number)[]) =>
  async (
    measure: () => Promise<Felt>,
  ): Promise<{ readonly felt: Felt; readonly shares: readonly number[] }> => {
    const used = (): number[] => cpus.map((cpu) => cpu());
    const [began, before] = [performance.now(), used()];
    const felt = await measure();
    const us = (performance.now() - began) * 1_000;
    return { felt, shares: used().map((now, at) => (now - (before[at] ?? 0)) / us) };
  };

interface Done {
  readonly turns: number;
  readonly reads: number;
}

function doneBy({ child }: Program): Promise<Done> {
  return new Promise((resolve) => {
    child.once("message", (told) => resolve(told as Done)); // bench/loud-tenant.ts
    child.send("how much?");
  });
}
