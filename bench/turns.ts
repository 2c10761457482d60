/**
 * `turns`: whole turns through the whole system, against a scripted provider without latency. First
 * tokens when nothing else happens and at a given rate; turns per second at saturation, beside a bare
 * loop of the same run (bench/bare-loop.ts: no actors); CPU per token of all our processes.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectStreams } from "../streams/connection.ts";
import { startNatsServer } from "../streams/server.ts";
import { startBareLoop } from "./bare-loop.ts";
import { openChatter, type Chatter } from "./chatter.ts";
import { figure, median, percentile, type Print, rate, type Sync } from "./figures.ts";
import { cpuOf, provider, serve } from "./processes.ts";

const sockets = 20;

export async function turns(
  print: Print,
  scale: number,
  perSecond: number,
  syncs: readonly Sync[],
): Promise<void> {
  for (const sync of syncs) {
    const suffix = sync === "default" ? "" : "_sync_always";
    const limit = await bareLoop(sync, Math.round(6_000 * scale));
    const model = await provider(20, 0);
    const served = await serve(sync, { OPENAI_BASE_URL: model.url });
    try {
      const token = await served.token();
      const chatters = await Promise.all(
        Array.from({ length: sockets }, () => openChatter(served.url, token)),
      );
      const chatter = (at: number): Chatter => chatters[at % sockets] ?? never();
      await rate(Math.round(400 * scale), 20, async (at) => void (await chatter(at).turn("warm")));

      const idle: number[] = [];
      for (let n = 0; n < Math.round(200 * scale); n++) {
        idle.push((await chatter(n).turn("idle")).first_ms);
      }
      for (const percent of [50, 95, 99]) {
        const value = percentile(idle, percent);
        print(figure("turns", `first_token_p${percent}_ms${suffix}`, value, "ms"));
      }

      const paced = await atRate(chatter, perSecond, Math.round(perSecond * 8 * scale));
      for (const percent of [50, 95, 99]) {
        const name = `first_token_at_${perSecond}_per_s_p${percent}_ms${suffix}`;
        print(figure("turns", name, percentile(paced, percent), "ms"));
      }

      const rounds: number[] = [];
      for (let round = 0; round < 3; round++) {
        const count = Math.round(1_500 * scale);
        rounds.push(await rate(count, 200, async (at) => void (await chatter(at).turn("full"))));
      }
      print(figure("turns", `turns_per_s${suffix}`, median(rounds), "1/s", limit));
      for (const one of chatters) one.close();
    } finally {
      await served.end();
      await model.end();
    }
  }
  await cpuPerToken(print, scale);
}

function never(): never {
  throw new Error("there is a socket for every number");
}

/** First-token times of turns that begin at a steady rate, however long the ones before take. */
async function atRate(
  chatter: (at: number) => Chatter,
  perSecond: number,
  count: number,
): Promise<number[]> {
  const began = performance.now();
  const running: Promise<number>[] = [];
  for (let n = 0; n < count; n++) {
    const wait_ms = began + (n * 1_000) / perSecond - performance.now();
    if (wait_ms > 1) await new Promise((resolve) => setTimeout(resolve, wait_ms));
    running.push(
      chatter(n)
        .turn("paced")
        .then(({ first_ms }) => first_ms),
    );
  }
  return Promise.all(running);
}

/**
 * Long streams to one client, every token a write of its own. As fast as the provider writes, so that
 * what is counted is work and not the machine's price of waking a process up; and at one token a
 * millisecond, where that price is most of it.
 */
async function cpuPerToken(print: Print, scale: number): Promise<void> {
  await streamed("cpu_us_per_token", Math.round(20_000 * scale), 0, print);
  await streamed("cpu_us_per_token_at_1000_per_s", Math.round(4_000 * scale), 1, print);
}

async function streamed(
  name: string,
  tokens: number,
  delay_ms: number,
  print: Print,
): Promise<void> {
  const model = await provider(tokens, delay_ms);
  const served = await serve("default", { OPENAI_BASE_URL: model.url });
  try {
    const chatter = await openChatter(served.url, await served.token());
    await chatter.turn("warm");
    const rounds: number[] = [];
    for (let round = 0; round < 3; round++) {
      const pids = served.pids();
      const before = cpuOf(pids);
      await chatter.turn("stream");
      rounds.push((cpuOf(pids) - before) / tokens);
    }
    print(figure("turns", name, median(rounds), "µs"));
    chatter.close();
  } finally {
    await served.end();
    await model.end();
  }
}

/** Publish a command, consume it, append, answer, ack: what a turn could not be faster than. */
async function bareLoop(sync: Sync, count: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  const server = await startNatsServer({ folder, port: 0, sync, log: () => undefined });
  const streams = await connectStreams({ url: server.url, name: "bench" });
  try {
    const answer_bytes = 600;
    const loop = await startBareLoop(streams, server.url, answer_bytes);
    const bytes = Buffer.alloc(answer_bytes, "x");
    const perSecond = await rate(count, 200, () => loop.command(bytes));
    await loop.end();
    return perSecond;
  } finally {
    await streams.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
