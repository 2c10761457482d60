/** Clients that stop reading: lagging cursors, never more than bounded buffers. */
import { beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import type { PushFrame } from "../../gateway/live/cursor.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Running, startRunning } from "./running.ts";
import { Transcript } from "./transcript.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

/** In full: `SLOW_SOCKETS=1000 SLOW_MS=60000`, on a machine with memory for their kernel buffers. */
const sockets = Number(process.env["SLOW_SOCKETS"] ?? 25);
const stop_ms = Number(process.env["SLOW_MS"] ?? 1_500);
/** So many that what is pushed exceeds what the kernel takes in for each, and all is read in the end. */
const word_chars = sockets > 100 ? 128 : 1_024;

/** Judges what it reads as it comes and keeps nothing of it, since there are a thousand of them. */
interface Reader {
  readonly socket: WebSocket;
  readonly transcript: Transcript;
  readonly wrong: string[];
  /** How many answers it was told whole. */
  ends: number;
}

async function openReader(token: string, conversation: string): Promise<Reader> {
  const url = `${running.gateway.url.replace("http", "ws")}/ws/chat`;
  const socket = new WebSocket(url, ["colloquy.v1", `bearer.${token}`]);
  const reader: Reader = { socket, transcript: new Transcript(), wrong: [], ends: 0 };
  await new Promise<void>((resolve, reject) => {
    socket.on("close", (code) => reject(new Error(`closed with ${code}`)));
    socket.on("message", (data) => {
      // What the server writes is what is judged here.
      const frame = JSON.parse(Buffer.from(data).toString()) as PushFrame | { type: string };
      if (frame.type === "ready") {
        socket.send(JSON.stringify({ type: "subscribe", id: systemIds(), conversation }));
      } else if (frame.type === "subscribed") resolve();
      else {
        try {
          reader.transcript.take(frame as PushFrame);
          reader.transcript.story.length = 0;
          if (frame.type === "end") reader.ends++;
        } catch (error) {
          reader.wrong.push(String(error).slice(0, 300));
        }
      }
    });
    socket.on("error", reject);
  });
  return reader;
}

test(
  `I5: I6: I11: ${sockets} sockets that stop reading for ${stop_ms} ms of hot turns catch up exactly`,
  async () => {
    const author = await running.connect({ user: "crowd" });
    const conversation = systemIds();
    const tokens = Array.from({ length: 300 }, (_, n) => `${n} ${"x".repeat(word_chars)}`);
    let turns = 0;
    const turn = async (): Promise<void> => {
      running.world.provider.script({ tokens });
      author.send({ type: "send", id: systemIds(), conversation, text: "flood", parent: null });
      turns++;
      await author.until((frames) => frames.filter(({ type }) => type === "end").length === turns);
    };
    await turn();
    const token = await running.token("crowd");
    const readers: Reader[] = [];
    for (let n = 0; n < sockets; n++) readers.push(await openReader(token, conversation));
    for (const { socket } of readers) socket.pause();
    const until = Date.now() + stop_ms;
    let highest = 0;
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
    for (const { socket } of readers) socket.resume();
    const last = author.revisions(conversation).at(-1) ?? 0;
    for (const reader of readers) {
      const caughtUp = (): boolean => reader.ends === turns && reader.transcript.revision === last;
      await expect
        .poll(() => caughtUp() || reader.wrong.length > 0, { timeout: 300_000 })
        .toBe(true);
      expect(reader.wrong).toEqual([]);
      reader.socket.terminate();
    }
    expect(running.problems).toEqual([]);
  },
  600_000 + 4 * stop_ms,
);

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${running.gateway.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1]);
}
