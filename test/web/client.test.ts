/**
 * The client library over real sockets that are cut at the worst moments: what a subscriber is told
 * is the log, in order and each thing once, and what was sent takes effect once.
 */
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EndFrame, EventFrame, TokenOut } from "../../schemas/frames.ts";
import type { Clock } from "../../schemas/ids.ts";
import { type Client, ClientError, connect, newId, type State } from "../../web/client.ts";
import { backoff, expiryOf } from "../../web/link.ts";
import { type ScriptedGateway, startScriptedGateway } from "./scripted-gateway.ts";

type Frame = EventFrame | TokenOut | EndFrame;
let gateway: ScriptedGateway;
const clients: Client[] = [];
const room = "00000000-0000-4000-8000-000000000001";

/** Real time, a hundred times faster where it is only waited for. */
const hasty: Clock = {
  now: () => Date.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms > 4_000 ? ms : ms / 100);
    return () => clearTimeout(timer);
  },
};

beforeEach(async () => {
  gateway = await startScriptedGateway();
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await gateway.stop();
});

function open(more: { onState?: (state: State) => void; token?: () => string } = {}): Client {
  const client = connect({ url: gateway.socket, token: () => "token", clock: hasty, ...more });
  clients.push(client);
  return client;
}

/** Collects what a subscriber is told; `until` waits for a frame. */
function collector(): {
  frames: Frame[];
  on: { event(f: Frame): void; token(f: Frame): void; end(f: Frame): void };
  until(done: (frames: readonly Frame[]) => boolean): Promise<void>;
} {
  const frames: Frame[] = [];
  const waiting = new Set<() => void>();
  const take = (frame: Frame): void => {
    frames.push(frame);
    for (const wake of waiting) wake();
  };
  return {
    frames,
    on: { event: take, token: take, end: take },
    until: (done) =>
      new Promise((resolve) => {
        const look = (): void => {
          if (!done(frames)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

/** What a reader has at the end of an answer: a restart voids what came before. */
function textOf(frames: readonly Frame[]): string {
  let text = "";
  for (const frame of frames) {
    if (frame.type === "token") text += frame.content;
    else if (frame.type === "event" && frame.event.type.startsWith("turn.re")) text = "";
    else if (frame.type === "event" && frame.event.type === "turn.started") text = "";
  }
  return text;
}

const revisions = (frames: readonly Frame[]): number[] =>
  frames.flatMap((frame) => (frame.type === "event" ? [frame.revision] : []));
const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);
const ended = (frames: readonly Frame[]): boolean => frames.at(-1)?.type === "end";

test("I6: a send begins a conversation and its sender reads it from the beginning", async () => {
  const client = open();
  const seen = collector();
  client.begin(room, seen.on);
  const ack = await client.send(room, "hello");
  gateway.begin(room);
  for (const word of ["to ", "be ", "or"]) gateway.token(room, word);
  gateway.finish(room);
  await seen.until(ended);
  expect(ack).toMatchObject({ conversation: room, revision: 2 });
  expect(seen.frames).toEqual(gateway.tale(room).lines);
  expect(gateway.heard.filter(({ type }) => type === "subscribe")).toEqual([]);
});

test("I6: whatever is cut, lost or doubled, the transcript is the log, each thing once", async () => {
  const step = fc.constantFrom(
    "token",
    "token",
    "token",
    "cut",
    "lose",
    "double",
    "restart",
    "ask",
  );
  const run = async (steps: readonly string[]): Promise<void> => {
    const conversation = newId();
    const client = open();
    const seen = collector();
    client.begin(conversation, seen.on);
    await client.send(conversation, "go");
    gateway.begin(conversation);
    const sends: Promise<unknown>[] = [];
    for (const [index, kind] of steps.entries()) {
      gateway.copies = () => (kind === "lose" ? 0 : kind === "double" ? 2 : 1);
      if (kind === "cut") gateway.cut();
      else if (kind === "restart") gateway.restart(conversation);
      else if (kind === "ask") sends.push(client.send(conversation, `more ${String(index)}`));
      else gateway.token(conversation, `${String(index)} `);
      // Lets frames and cuts cross on the wire in different ways; nothing is awaited by it.
      if (index % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    gateway.copies = () => 1;
    await Promise.all(sends);
    gateway.finish(conversation);
    await seen.until(ended);
    const tale = gateway.tale(conversation);
    expect(revisions(seen.frames)).toEqual(upTo(tale.revision));
    expect(textOf(seen.frames)).toBe(
      tale.messages().find(({ role }) => role === "assistant")?.text,
    );
    expect(seen.frames.filter(({ type }) => type === "end")).toHaveLength(1);
    client.close();
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 24 }), run), {
    numRuns: 60,
    endOnFailure: true,
  });
});

test("I2: unanswered sends are repeated in their order with the same ids and take effect once", async () => {
  const client = open();
  const seen = collector();
  client.begin(room, seen.on);
  let losses = 2;
  gateway.loseAck = () => losses-- > 0;
  const texts = ["one", "two", "three"];
  const acks = await Promise.all(texts.map((text) => client.send(room, text)));
  await seen.until((frames) => frames.length === 4);
  const added = seen.frames.flatMap((frame) =>
    frame.type === "event" && frame.event.type === "message.added" ? [frame.event["text"]] : [],
  );
  expect(added).toEqual(texts);
  expect(new Set(acks.map(({ id }) => id)).size).toBe(3);
  expect(gateway.heard.filter(({ type }) => type === "send").length).toBeGreaterThan(3);
});

test("I6: what is sent while offline travels when the connection is back", async () => {
  const states: string[] = [];
  const client = open({ onState: ({ name }) => states.push(name) });
  const seen = collector();
  client.begin(room, seen.on);
  await client.send(room, "first");
  gateway.refuseSockets = true;
  gateway.cut();
  const later = client.send(room, "second");
  while (!states.includes("offline")) await new Promise((resolve) => setImmediate(resolve));
  gateway.refuseSockets = false;
  client.wake();
  await expect(later).resolves.toMatchObject({ revision: 3 });
  await seen.until((frames) => frames.length === 3);
  expect(revisions(seen.frames)).toEqual([1, 2, 3]);
});

test("I6: frames that come twice are read once, and nothing is asked again for them", async () => {
  const client = open();
  const seen = collector();
  client.begin(room, seen.on);
  gateway.copies = () => 2;
  await client.send(room, "go");
  gateway.begin(room);
  gateway.token(room, "a");
  gateway.token(room, "b");
  gateway.finish(room);
  await seen.until(ended);
  await client.send(room, "a later answer proves that all of it was read");
  expect(seen.frames.slice(0, gateway.tale(room).lines.length - 1)).toEqual(
    gateway.tale(room).lines.slice(0, -1),
  );
  expect(gateway.heard.filter(({ type }) => type === "subscribe")).toEqual([]);
});

test("I6: a lost `end` is told once, from the event that ended the turn", async () => {
  const client = open();
  const seen = collector();
  client.begin(room, seen.on);
  await client.send(room, "go");
  gateway.begin(room);
  gateway.token(room, "x");
  const all = gateway.copies;
  let sent = 0;
  gateway.copies = () => (++sent === 1 ? 1 : 0); // the ending event arrives, its `end` does not
  gateway.finish(room);
  await seen.until((frames) => revisions(frames).length === 4);
  gateway.copies = all;
  gateway.cut();
  await seen.until(ended);
  expect(seen.frames.filter(({ type }) => type === "end")).toEqual([
    gateway.tale(room).lines.at(-1),
  ]);
});

test("I6: a reading goes on from the cursor that an earlier one left", async () => {
  const first = open();
  const seen = collector();
  const reading = first.begin(room, seen.on);
  await first.send(room, "go");
  gateway.begin(room);
  gateway.token(room, "a");
  await seen.until((frames) => frames.at(-1)?.type === "token");
  const cursor = reading.cursor();
  first.close();
  gateway.token(room, "b");
  const rest = collector();
  open().subscribe(room, rest.on, cursor);
  gateway.finish(room);
  await rest.until(ended);
  expect([...seen.frames, ...rest.frames]).toEqual(gateway.tale(room).lines);
});

test("a refused subscription and an oversized text are told by their codes", async () => {
  const client = open();
  const refused = new Promise<ClientError>((resolve) => {
    client.subscribe(newId(), { refused: resolve });
  });
  expect((await refused).code).toBe("not_found");
  await expect(client.send(room, "汉".repeat(30_000))).rejects.toMatchObject({
    code: "text_too_long",
  });
  expect(gateway.tales.size).toBe(0);
});

test("a closed client rejects what was not answered", async () => {
  gateway.refuseSockets = true;
  const client = open();
  const sending = client.send(room, "never");
  client.close();
  await expect(sending).rejects.toMatchObject({ code: "closed" });
  await expect(client.send(room, "late")).rejects.toBeInstanceOf(ClientError);
});

test("watch is asked for again at each connection and tells of every change", async () => {
  const client = open();
  let connections = 0;
  const titles: (string | null)[] = [];
  let wake: () => void = () => undefined;
  const next = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve;
    });
  let step = next();
  client.watch({
    watched: () => {
      connections += 1;
      wake();
    },
    changed: ({ title }) => {
      titles.push(title);
      wake();
    },
  });
  await step;
  step = next();
  gateway.cut();
  await step;
  step = next();
  gateway.event(room, { type: "conversation.titled", title: "Elsewhere", source: "user" });
  await step;
  expect(connections).toBe(2);
  expect(titles).toEqual(["Elsewhere"]);
});

test("the back-off grows to its limit and is spread by chance", () => {
  expect(backoff(0, () => 0)).toBe(200);
  expect(backoff(0, () => 1)).toBe(400);
  expect(backoff(3, () => 1)).toBe(3_200);
  expect(backoff(99, () => 1)).toBe(15_000);
});

test("a token's expiry is read from it, or is unknown", () => {
  const body = Buffer.from(JSON.stringify({ exp: 1_800_000_000 })).toString("base64url");
  expect(expiryOf(`x.${body}.y`)).toBe(1_800_000_000_000);
  expect(expiryOf("opaque")).toBeNull();
});
