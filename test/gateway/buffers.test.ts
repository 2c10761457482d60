/** A crowd that stops reading while an answer is written: bounded memory, and nobody misses a word. */
import { expect, test } from "vitest";
import type { PushFrame } from "../../gateway/live/cursor.ts";
import { Buffers } from "../../gateway/limits/buffers.ts";
import { type Outlet, Subscription } from "../../gateway/live/subscription.ts";
import { limits } from "../../schemas/limits.ts";
import { script } from "./conversation-script.ts";
import { id, start, turns, World } from "./room-world.ts";
import { Transcript } from "./transcript.ts";

/** The room's bytes are the same for all. */
const parsed = new WeakMap<Uint8Array, PushFrame>();

/** A socket as the gateway sees one: bytes go into its buffer until its client reads. */
class Client implements Outlet {
  readonly transcript = new Transcript();
  reads = true;
  lags = 0;
  #bytes = 0;
  readonly #share;

  constructor(buffers: Buffers) {
    this.#share = buffers.open();
  }
  writable(): boolean {
    return this.#share.writable;
  }
  #take(frame: PushFrame, bytes: number): void {
    this.transcript.take(frame);
    if (!this.reads) this.#bytes += bytes;
    this.#share.is(this.#bytes);
  }
  send(frame: object): void {
    // A subscription sends nothing else.
    this.#take(frame as PushFrame, JSON.stringify(frame).length);
  }
  sendBytes(bytes: Uint8Array): void {
    let frame = parsed.get(bytes);
    if (frame === undefined) {
      // As above; made by the room of such frames.
      frame = JSON.parse(new TextDecoder().decode(bytes)) as PushFrame;
      parsed.set(bytes, frame);
    }
    this.#take(frame, bytes.byteLength);
  }
  cork(call: () => void): void {
    call();
  }
  lagging(change: 1 | -1): void {
    this.lags += change;
    this.#share.lagging(change);
  }
  get bytes(): number {
    return this.#bytes;
  }
  /** Its client takes so many bytes; true when none is left. */
  read(bytes: number): boolean {
    this.#bytes = Math.max(0, this.#bytes - bytes);
    this.#share.is(this.#bytes);
    return this.#bytes === 0;
  }
}

test("I6: I11: a thousand clients that stop reading cost bounded memory and catch up exactly", async () => {
  const most = 16 * 1024 * 1024;
  const buffers = new Buffers(most);
  const live = new World();
  const arrivals: Promise<number>[] = [];
  const crowd = Array.from({ length: 1_000 }, (_, n) => {
    const client = new Client(buffers);
    // One in a hundred goes on reading.
    client.reads = n % 100 === 0;
    const failed = (error: unknown): void => {
      throw error;
    };
    // Each may read for ever.
    const right = { watch: () => () => undefined };
    const subscription = new Subscription(live.room, client, failed, right);
    arrivals.push(new Promise((resolve) => subscription.begin(start, resolve)));
    return { client, subscription };
  });
  const readers = crowd.filter(({ client }) => client.reads);
  const sleepers = crowd.filter(({ client }) => !client.reads);
  await Promise.all(arrivals);
  // Together 80 KB for each of them, and there is room for 16.
  const texts = Array.from({ length: 40 }, (_, n) => `${n} ${"word ".repeat(200)}`);
  const turn = { attempts: [texts], checkpointEvery: 20, end: "completed" } as const;
  const items = script("acme", id, [turn, turn]);
  let highest = 0;
  for (const item of items) {
    live.happen(item, true);
    await turns();
    highest = Math.max(highest, buffers.bytes);
  }
  const frame = 64 * 1024;
  expect(highest).toBeGreaterThan(most / 2);
  expect(highest).toBeLessThan(most + crowd.length * 2_000);
  expect(highest).toBeLessThan(most + crowd.length * frame);
  // Whoever reads was told everything meanwhile.
  const end = live.room.position.revision;
  for (const { client } of readers) {
    expect(client.transcript.revision).toBe(end);
    expect(client.lags).toBe(0);
  }
  expect(buffers.laggingCursors).toBe(sleepers.length);
  // A few go on in each turn of the loop.
  const isBehind = ({ client }: (typeof crowd)[number]): boolean =>
    client.transcript.revision < end || client.transcript.owed !== null;
  for (let round = 0; round < 2_000 && sleepers.some(isBehind); round++) {
    for (const { client, subscription } of sleepers) {
      if (client.read(32 * 1024)) subscription.drained();
    }
    await turns();
    expect(buffers.bytes).toBeLessThan(most + crowd.length * frame);
  }
  const story = readers[0]?.client.transcript.story;
  for (const { client } of crowd) expect(client.transcript.story).toEqual(story);
  expect(buffers.laggingCursors).toBe(0);
  live.room.close();
});

test("I11: who asks and never reads is told apart from who is only slow", () => {
  const buffers = new Buffers(1_000_000);
  const slow = buffers.open();
  slow.is(200_000);
  expect(slow.answered(500)).toBe(true);
  const asks = buffers.open();
  asks.is(1);
  let bytes = 1;
  let answers = 0;
  while (asks.answered(1_000)) {
    bytes += 1_000;
    asks.is(bytes);
    answers++;
  }
  // All buffers together are full: here ends what would be taken at other times.
  expect(answers * 1_000).toBeGreaterThan(limits.answers_unread_bytes_tight);
  expect(answers * 1_000).toBeLessThan(limits.answers_unread_bytes);
  expect(slow.answered(500)).toBe(true);
  asks.end();
  slow.end();
  expect(buffers.bytes).toBe(0);
});
