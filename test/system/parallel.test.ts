/**
 * Many conversations at once, every client cut and connected again at random: what each was told is
 * the log, once and in order, and its frames are the stored answer, byte for byte (I5, I6).
 */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Message, Page } from "../../schemas/http.ts";
import { connect, newId } from "../../web/client.ts";
import { type ModelServer, startModelServer } from "../support/model-server.ts";
import { temporary } from "../support/services.ts";
import { foreignReader } from "./foreign-reader.ts";
import { type Served, startServe } from "./serve.ts";
import { openStory } from "./story.ts";

const conversations = 100;
let folder: string;
let provider: ModelServer;
let served: Served;
beforeAll(async () => {
  folder = temporary("parallel");
  provider = await startModelServer({ tokens: 40, delay_ms: 25 });
  served = await startServe(folder, { OPENAI_BASE_URL: provider.url });
});
afterAll(async () => {
  await served.end("SIGTERM");
  await provider.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

/** Numbers between 0 and 1 that are the same in every run (mulberry32). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** A client whose sockets break after a random number of frames, again and again. */
function breaking(roll: () => number, cuts: { count: number }): typeof WebSocket {
  return class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      let left = 2 + Math.floor(roll() * 25);
      this.addEventListener("message", () => {
        left -= 1;
        if (left !== 0) return;
        cuts.count += 1;
        this.close();
      });
    }
  };
}

async function talk(number: number, cuts: { count: number }): Promise<void> {
  const roll = random(number);
  const wrong: string[] = [];
  const id = newId();
  const story = openStory((why) => wrong.push(why));
  const client = connect({
    url: `${served.url.replace("http", "ws")}/ws/chat`,
    token: () => served.token(),
    WebSocket: breaking(roll, cuts),
    // The waits between two attempts are the client's own; here they are only shorter.
    clock: {
      now: () => Date.now(),
      after(ms, call) {
        const timer = setTimeout(call, ms > 4_000 ? ms : ms / 20);
        return () => clearTimeout(timer);
      },
    },
    random: roll,
  });
  client.begin(id, story);
  const turns = 2;
  let reader: ReturnType<typeof foreignReader> | null = null;
  for (let turn = 0; turn < turns; turn++) {
    await client.send(id, `Question ${turn} of ${number}, 问题 😀`);
    // Beside ours, a client that knows only the protocol, cut at other moments.
    reader ??= foreignReader({
      ...{ url: served.url, token: await served.token(), conversation: id },
      roll: random(number + conversations),
    });
    await story.until(({ frames }) => frames.filter(({ type }) => type === "end").length > turn);
  }
  await reader?.ended(turns);
  reader?.close();
  client.close();
  cuts.count += reader?.cuts ?? 0;
  expect([...wrong, ...(reader?.wrong ?? [])], `conversation ${number}`).toEqual([]);
  const ended = story.events("turn.completed");
  expect(ended).toHaveLength(turns);
  const { items } = await served.get<Page<Message>>(`/api/v1/conversations/${id}/messages`);
  const answers = items.filter(({ role }) => role === "assistant");
  expect(answers.map(({ text }) => text)).toEqual(ended.map(({ event }) => event["text"]));
  expect(answers.map(({ text }) => text)).toEqual(
    ended.map(({ event }) => story.text(String(event["turn"]))),
  );
  expect(answers.map(({ text }) => text)).toEqual([...(reader?.texts.values() ?? [])]);
}

test(`I6: ${conversations} conversations at once, every client cut at random, match what is stored`, async () => {
  await served.token();
  const cuts = { count: 0 };
  await Promise.all(Array.from({ length: conversations }, (_, number) => talk(number, cuts)));
  expect(cuts.count).toBeGreaterThan(conversations);
  expect(served.complaints).toEqual([]);
});
