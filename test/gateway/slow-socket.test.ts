/** Clients that stop reading: lagging cursors, never more than bounded buffers. */
import { beforeAll, expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

/** In full: `SLOW_SOCKETS=1000 SLOW_MS=60000`, on a machine with memory for their kernel buffers. */
const sockets = Number(process.env["SLOW_SOCKETS"] ?? 25);
const stop_ms = Number(process.env["SLOW_MS"] ?? 1_500);

test(
  `I5: I6: I11: ${sockets} sockets that stop reading for ${stop_ms} ms of hot turns catch up exactly`,
  async () => {
    const author = await running.connect({ user: "crowd" });
    const clients = [];
    for (let n = 0; n < sockets; n++) clients.push(await running.connect({ user: "crowd" }));
    const conversation = systemIds();
    const word = "0123456789abcdef".repeat(64);
    const tokens = Array.from({ length: 300 }, (_, n) => `${n} ${word}`);
    let turns = 0;
    const turn = async (): Promise<void> => {
      running.world.provider.script({ tokens });
      author.send({ type: "send", id: systemIds(), conversation, text: "flood", parent: null });
      turns++;
      await author.until((frames) => frames.filter(({ type }) => type === "end").length === turns);
    };
    await turn();
    await Promise.all(clients.map((client) => client.ask({ type: "subscribe", conversation })));
    for (const { socket } of clients) socket.pause();
    const until = Date.now() + stop_ms;
    let highest = 0;
    // So many that what is pushed exceeds what the kernel takes in for each.
    while (Date.now() < until || turns < 20) {
      await turn();
      highest = Math.max(highest, await metric("colloquy_socket_buffer_bytes"));
    }
    const lagging = await metric("colloquy_cursors_lagging");
    expect(lagging).toBeGreaterThan(sockets / 2);
    // The event that ends such an answer is its largest frame.
    const each = limits.socket_watermark_bytes + 1.1 * tokens.join("").length;
    expect(highest).toBeLessThanOrEqual(
      Math.min(sockets * each, limits.socket_buffers_bytes_max * 1.25),
    );
    for (const { socket } of clients) socket.resume();
    const last = author.revisions(conversation).at(-1) ?? 0;
    const wanted = Array.from({ length: last }, (_, index) => index + 1);
    const ended = author.frames.flatMap((one) => (one.type === "end" ? one.turn : []));
    for (const client of clients) {
      await client.until(
        (frames) =>
          frames.filter(({ type }) => type === "end").length === turns &&
          frames.some((one) => one.type === "event" && one.revision === last),
      );
      expect(client.revisions(conversation)).toEqual(wanted);
      for (const one of ended) expect(client.text(one)).toBe(tokens.join(""));
      client.end();
    }
    expect(running.problems).toEqual([]);
  },
  300_000 + 4 * stop_ms,
);

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${running.gateway.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}
