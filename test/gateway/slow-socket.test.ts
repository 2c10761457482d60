/**
 * Clients that stop reading while an answer is written: lagging cursors, never more than bounded
 * buffers. In full, as root, beside the other network so that the kernel takes in little for each:
 *
 *     unshare -n sh -c 'ip link set lo up
 *       echo 4096 16384 131072 > /proc/sys/net/ipv4/tcp_wmem
 *       SLOW_SOCKETS=1000 SLOW_MS=60000 exec node_modules/.bin/node \
 *         node_modules/vitest/vitest.mjs run test/gateway/slow-socket.test.ts'
 *
 * With the usual buffers of Linux it takes in 4 MB for each, which for a thousand is more than it
 * gives to all connections of a machine. What was measured is in docs/BENCHMARKS.md.
 */
import { hash } from "node:crypto";
import { setInterval } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import type { PushFrame } from "../../gateway/live/cursor.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Crowd, openCrowd } from "./crowd.ts";
import type { Foreign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";
import { Transcript } from "./transcript.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const sockets = Number(process.env["SLOW_SOCKETS"] ?? 25);
const stop_ms = Number(process.env["SLOW_MS"] ?? 1_500);
/** Nearly the longest answer, as quick as can be; so many of them that history is read of the log. */
const flood = Array.from({ length: 24 }, (_, n) => `${n} ${"x".repeat(16_000)}`);
const floods_min = 6;
const floods_max = 40;
/** The hot turn goes on when they read again. */
const word_ms = 25;
const hot = Array.from({ length: Math.ceil((1.2 * stop_ms) / word_ms) }, (_, n) => ` word ${n}`);

test(
  `I5: I6: I11: ${sockets} sockets that stop reading for ${stop_ms} ms of a hot turn catch up exactly`,
  async () => {
    const author = await running.connect({ user: "crowd" });
    const conversation = systemIds();
    let turns = 0;
    const begin = (tokens: readonly string[], delay_ms: number): void => {
      running.world.provider.script({ tokens, delay_ms });
      author.send({ type: "send", id: systemIds(), conversation, text: "go on", parent: null });
      turns++;
    };
    const ended = (): Promise<void> =>
      author.until((frames) => frames.filter(({ type }) => type === "end").length === turns);
    begin(["hello"], 0);
    await ended();
    const crowd = await openedCrowd(conversation, sockets);
    const leavers = await openedCrowd(conversation, 2);
    const memory = watchMemory();
    await Promise.all([crowd.ask({ do: "pause" }), leavers.ask({ do: "pause" })]);
    const until = performance.now() + stop_ms;

    // What the kernel takes in for each, and then what makes them lag. Whoever reads has it all.
    for (let floods = 0; floods < floods_max; floods++) {
      if (floods >= floods_min && (await lagging()) === sockets + 2) break;
      begin(flood, 0);
      await ended();
      await memory.look();
    }
    expect(await lagging()).toBe(sockets + 2);
    // One that is closed lags no more.
    await leavers.end();
    await expect.poll(lagging).toBe(sockets);

    begin(hot, word_ms);
    for await (const _ of setInterval(100)) {
      await memory.look();
      if (performance.now() > until) break;
    }
    expect(await lagging()).toBe(sockets);
    // The event that ends such an answer is the largest frame.
    const frame = 1.1 * flood.join("").length;
    const all = sockets * (limits.socket_watermark_bytes + frame);
    const most = limits.socket_buffers_bytes_max;
    expect(memory.buffers()).toBeLessThanOrEqual(Math.min(all, 1.25 * most));
    await crowd.ask({ do: "resume" });
    const catching = memory.keepLooking();
    await ended();
    const wanted = storyOf(author, conversation);
    const { wrong, story, times_ms } = await crowd.ask({ do: "until", told: wanted.length });
    catching.stop();
    expect(wrong).toEqual([]);
    expect(times_ms.length).toBe(sockets);
    expect(story).toBe(hash("sha256", wanted.join("\n")));

    // Whoever has read all he was sent is sent a frame, however much the others have not read.
    expect(memory.buffers()).toBeLessThanOrEqual(Math.min(all, most + sockets * frame));
    await expect.poll(lagging).toBe(0);
    await crowd.end();
    expect(running.problems).toEqual([]);
    if ("SLOW_SOCKETS" in process.env) console.log(memory.told(), "caught up, s:", told(times_ms));
  },
  600_000 + 4 * stop_ms,
);

async function openedCrowd(conversation: string, count: number): Promise<Crowd> {
  const crowd = openCrowd();
  const { url } = running.gateway;
  const token = await running.token("crowd");
  await crowd.ask({ do: "open", sockets: count, url, token, conversation });
  return crowd;
}

/** What who has read all along was told. */
function storyOf({ frames }: Foreign, conversation: string): readonly string[] {
  const all = new Transcript();
  const pushed = new Set(["event", "token", "end"]);
  for (const frame of frames) {
    // Of the server's frames those of these types are pushed to who reads a conversation.
    const one = frame as PushFrame;
    if (pushed.has(frame.type) && one.conversation === conversation) all.take(one);
  }
  return all.story;
}

/** What this process holds, which is also the gateway, and what it says of its buffers, in bytes. */
function watchMemory() {
  const before = process.memoryUsage().rss;
  let [buffers, resident] = [0, 0];
  const look = async (): Promise<void> => {
    buffers = Math.max(buffers, await metric("colloquy_socket_buffer_bytes"));
    resident = Math.max(resident, process.memoryUsage().rss);
  };
  const mb = (bytes: number): number => Math.round(bytes / 1e6);
  return {
    look,
    keepLooking() {
      const timer = globalThis.setInterval(() => void look(), 250);
      return { stop: () => clearInterval(timer) };
    },
    buffers: () => buffers,
    told: () => {
      const after = process.memoryUsage().rss;
      return `MB: buffers ${mb(buffers)}; resident ${mb(before)}, ${mb(resident)}, ${mb(after)}`;
    },
  };
}

const told = (times_ms: readonly number[]): string =>
  [0, 0.5, 1]
    .map((part) => ((times_ms[Math.floor(part * (times_ms.length - 1))] ?? 0) / 1_000).toFixed(1))
    .join(", ");

const lagging = (): Promise<number> => metric("colloquy_cursors_lagging");

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${running.gateway.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}
