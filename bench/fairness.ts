/**
 * `fairness`: what one tenant at full load does to another. A quiet tenant begins a turn now and then
 * and reads; first alone, then beside a loud one that has as many turns running as it is let. Told
 * are the quiet tenant's P95 values and how many times the idle ones they are (`ratio`; the promise
 * is at most 2), and what the loud one gets done.
 */
import { type Chatter, openChatter } from "./chatter.ts";
import { figure, pause, percentile, type Print } from "./figures.ts";
import { provider, serve } from "./processes.ts";

const loud_sockets = 10;
const loud_turns = 200;
const loud_readers = 50;
const quiet_every_ms = 50;

interface Felt {
  readonly first: number[];
  readonly read: number[];
}

export async function fairness(print: Print, scale: number): Promise<void> {
  const model = await provider(20, 0);
  const served = await serve("default", { OPENAI_BASE_URL: model.url });
  try {
    const quietToken = await served.token("quiet");
    const loudToken = await served.token("loud");
    const quiet = await openChatter(served.url, quietToken);
    const loud = await Promise.all(
      Array.from({ length: loud_sockets }, () => openChatter(served.url, loudToken)),
    );
    await feel(served.url, quietToken, quiet, 5_000 * scale);
    const idle = await feel(served.url, quietToken, quiet, 15_000 * scale);

    const load = { ends: false, turns: 0, reads: 0 };
    const working = [
      ...Array.from({ length: loud_turns }, (_, n) => talk(loud[n % loud_sockets], load)),
      ...Array.from({ length: loud_readers }, () => readOn(served.url, loudToken, load)),
    ];
    await pause(3_000);
    const began = performance.now();
    const before = { ...load };
    const busy = await feel(served.url, quietToken, quiet, 20_000 * scale);
    const seconds = (performance.now() - began) / 1_000;
    load.ends = true;
    await Promise.all(working);
    for (const what of ["first", "read"] as const) {
      const name = what === "first" ? "first_token" : "read";
      const [alone, beside] = [percentile(idle[what], 95), percentile(busy[what], 95)];
      print(figure("fairness", `${name}_p95_ms_idle`, alone, "ms"));
      print(figure("fairness", `${name}_p95_ms_beside_load`, beside, "ms", alone));
    }
    print(figure("fairness", "loud_turns_per_s", (load.turns - before.turns) / seconds, "1/s"));
    print(figure("fairness", "loud_reads_per_s", (load.reads - before.reads) / seconds, "1/s"));
    for (const one of [quiet, ...loud]) one.close();
  } finally {
    await served.end();
    await model.end();
  }
}

/** What the quiet tenant feels: a turn and a read at a time, at a steady pace. */
async function feel(url: string, token: string, chatter: Chatter, ms: number): Promise<Felt> {
  const felt: Felt = { first: [], read: [] };
  const until = performance.now() + ms;
  while (performance.now() < until) {
    felt.first.push((await chatter.turn("quiet")).first_ms);
    const began = performance.now();
    await read(url, token);
    felt.read.push(performance.now() - began);
    await pause(quiet_every_ms);
  }
  return felt;
}

async function read(url: string, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}` };
  await (await fetch(`${url}/api/v1/conversations?limit=10`, { headers })).arrayBuffer();
}

interface Load {
  ends: boolean;
  turns: number;
  reads: number;
}

/** Turn after turn; what is refused is tried again, as a client would. */
async function talk(chatter: Chatter | undefined, load: Load): Promise<void> {
  while (!load.ends) {
    try {
      await chatter?.turn("loud");
      load.turns++;
    } catch {
      await pause(100);
    }
  }
}

async function readOn(url: string, token: string, load: Load): Promise<void> {
  while (!load.ends) {
    await read(url, token);
    load.reads++;
  }
}
