/** The feed: exactly one message per public event, in order, whatever crashes or is purged. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { empty_head } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import { feedEvent } from "../../schemas/feed.ts";
import { type ActorRef, systemClock, systemIds, workspaceRef } from "../../schemas/ids.ts";
import { feedFilter } from "../../schemas/subjects.ts";
import type { Streams } from "../../streams/connection.ts";
import { eraseContent } from "../../streams/content/erasure.ts";
import { appendToFeed, readFeedPosition, type Told as Telling } from "../../streams/feed/feed.ts";
import { type Publisher, startPublisher } from "../../integrations/publisher.ts";
import { startNats } from "../support/services.ts";
import { all, newRef, said, startSystem, type System, titled } from "../streams/system.ts";
import { patiently } from "../streams/writers.ts";
import { ids, line, publicIds, publisherOn, reached, told } from "./feed.ts";

let system: System;
const publishers: Publisher[] = [];
beforeEach(async () => {
  system = await startSystem();
});
afterEach(async () => {
  await Promise.all(publishers.splice(0).map((one) => one.stop()));
  await system.stop();
});

const started = event("conversation.started", {
  ...{ origin: "chat", owner: "ann", model: null, overlap: "queue" },
});
const usage = { tokensIn: 3, tokensOut: 5, costUsd: "0.000010" };
const answered = (text: string) =>
  event("turn.completed", {
    ...{ turn: systemIds(), message: systemIds(), attempt: 1, seq: 1, text, finish: "stop", usage },
    frames: { lengths: [text.length], times: [1] },
  });
const deleted = event("conversation.deleted", {});

async function begin(holder = systemIds(), problems: string[] = []): Promise<Publisher> {
  const publisher = await publisherOn(system, holder, problems);
  publishers.push(publisher);
  return publisher;
}
const end = async (publisher: Publisher): Promise<void> => {
  publishers.splice(publishers.indexOf(publisher), 1);
  await publisher.stop();
};
test("every public event is one valid CloudEvent, in the order of the log, and nothing else is told", async () => {
  // What a worker reports of itself is told under the name of whose conversation it is.
  const one = line(system, newRef("acme"), { type: "system", id: systemIds() });
  const two = line(system, newRef("other"));
  await one.say(started, said("What is a feed?"), event("head.moved", { message: systemIds() }));
  await two.say(started, said("Of another"));
  const publisher = await begin();
  const last = await one.say(answered("A list of events."), titled("Feeds"));
  await reached(publisher, last);

  const found = await told(system.streams);
  const id = one.ref.id;
  expect(found.map(({ subject }) => subject)).toEqual([
    `feed.acme.conversation.started.${id}`,
    `feed.acme.message.created.${id}`,
    `feed.other.conversation.started.${two.ref.id}`,
    `feed.other.message.created.${two.ref.id}`,
    `feed.acme.turn.completed.${id}`,
    `feed.acme.conversation.titled.${id}`,
  ]);
  expect(ids(found)).toEqual([
    `${id}:1`,
    `${id}:2`,
    ...[1, 2].map((n) => `${two.ref.id}:${n}`),
    `${id}:4`,
    `${id}:5`,
  ]);
  const completed = found[4]?.event;
  expect(completed).toMatchObject({
    ...{ specversion: "1.0", type: "colloquy.turn.completed.v1", source: "/tenants/acme" },
    ...{ subject: `conversation/${id}`, dataschema: "urn:colloquy:feed:turn.completed:v1" },
    sequence: String(last).padStart(16, "0"),
    data: {
      ...{ tenant_id: "acme", user_id: "ann", event_type: "turn.completed" },
      payload: { conversation: id, text: "A list of events.", finish: "stop", usage },
    },
  });
  expect(completed?.data?.timestamp).toBe(completed?.time);
});

/** What a publisher appends to the last conversation's commits, as it would itself. */
async function tellingOf(ref: ActorRef): Promise<Telling[]> {
  const commits = await all(system.log.read(ref, empty_head));
  return commits.flatMap((commit) =>
    [...commit.events.keys()].flatMap((index) => {
      const one = feedEvent(commit, index, null);
      return one === null ? [] : [{ place: { sequence: commit.sequence, index }, event: one }];
    }),
  );
}

/** The connection of a process that dies when it has sent so many messages. */
function dying({ ...streams }: Streams, sent_max: number): Streams {
  let sent = 0;
  const publish: Streams["js"]["publish"] = (...message) =>
    ++sent > sent_max ? Promise.reject(new Error("dead")) : system.streams.js.publish(...message);
  // The client as it is, but for this one way.
  const js = Object.create(streams.js, { publish: { value: publish } }) as Streams["js"];
  return { ...streams, js };
}

test("a publisher that dies between any two messages is followed by one that repeats and skips nothing", async () => {
  const { streams } = system;
  for (let sent = 0; sent <= 7; sent++) {
    const { ref, say } = line(system, newRef());
    await say(started, said("1"), titled("2"));
    await say(said("3"), said("4"));
    const last = await say(said("5"));
    const telling = await tellingOf(ref);
    const behind = { sequence: last + 1, index: 0 };
    const position = await readFeedPosition(streams);
    const death = appendToFeed(dying(streams, sent), position, telling, behind);
    if (sent <= telling.length) await expect(death).rejects.toThrow("dead");
    else await death;
    const filter = feedFilter(ref);
    const before = await told(streams, filter);
    expect(before).toHaveLength(Math.max(0, sent - 1));
    // Half of the time what is there of it is purged, the newest message of all among it.
    const purged = sent % 2 === 1 ? before.length : 0;
    if (purged > 0) await streams.jsm.streams.purge("FEED", { filter });
    const publisher = await begin();
    await reached(publisher, last);
    await end(publisher);
    const expected = telling.map(({ event: { id } }) => id).slice(purged);
    expect(ids(await told(streams, filter))).toEqual(expected);
  }
});

test("the newest message is of a conversation that is deleted, then all die: nothing comes twice", async () => {
  const { streams, vault } = system;
  const kept = line(system, newRef());
  const gone = line(system, newRef());
  await kept.say(started, said("kept"));
  const first = await begin();
  await reached(first, await gone.say(started, said("the newest message")));
  await end(first);
  await eraseContent(streams, vault, gone.ref);
  expect((await told(streams)).map(({ event }) => event.subject)).toEqual(
    [kept.ref, kept.ref].map(({ id }) => `conversation/${id}`),
  );
  const { port, dir } = system.server;
  await system.server.kill9();
  const again = await startNats(dir, { port });
  try {
    const second = await begin();
    await reached(second, await kept.say(titled("after it")));
    await end(second);
    expect(ids(await told(streams))).toEqual([1, 2, 3].map((n) => `${kept.ref.id}:${n}`));
  } finally {
    await streams.close();
    await again.stop();
  }
});

test("what a deletion finds untold is never told, only the deletion; what was told of it is gone by then", async () => {
  const { streams, vault } = system;
  const { ref, say } = line(system, newRef());
  const before = await begin();
  await reached(before, await say(started, said("told before")));
  await end(before);
  await say(answered("a secret answer"), said("untold"));
  const last = await say(deleted);
  await vault.erase(ref);
  const publisher = await begin();
  await reached(publisher, last);
  // The worker may come last, and again.
  await eraseContent(streams, vault, ref);
  const found = await told(streams);
  expect(found.map(({ event }) => event.type)).toEqual(["colloquy.conversation.deleted.v1"]);
  expect(JSON.stringify(found)).not.toMatch(/secret|told/);
});

test("of two that append at one place the later leaves nothing, however much more it has to tell", async () => {
  const { streams } = system;
  const { ref, say } = line(system, newRef());
  await say(started, said("1"), titled("2"));
  const last = await say(said("3"), said("4"));
  const telling = await tellingOf(ref);
  const third = telling[2]?.place ?? { sequence: 0, index: 0 };
  const position = await readFeedPosition(streams);
  await appendToFeed(streams, position, telling.slice(0, 2), third);
  const late = appendToFeed(streams, position, telling, { sequence: last + 1, index: 0 });
  await expect(late).rejects.toMatchObject({ code: "unavailable" });
  expect(await told(streams)).toHaveLength(2);
  expect((await readFeedPosition(streams)).next).toEqual(third);
  await reached(await begin(), last);
  expect(ids(await told(streams))).toEqual(telling.map(({ event: { id } }) => id));
});

test("two that publish at once tell everything once", async () => {
  const holder = systemIds();
  const lines = [1, 2, 3].map(() => line(system, newRef()));
  const both = [await begin(holder), await begin(holder)];
  let last = 0;
  for (let n = 0; n < 60; n++) {
    for (const { say } of lines) last = await say(n === 0 ? started : said(`${n}`));
  }
  for (const one of both) await reached(one, last);
  const refs = lines.map(({ ref }) => ref);
  expect(ids(await told(system.streams))).toEqual(await publicIds(system.log, refs));
});

test("a full feed makes it wait, not skip; a server that is killed makes it go on from what is there", async () => {
  const { streams } = system;
  const problems: string[] = [];
  const { ref, say } = line(system, newRef());
  const publisher = await begin(systemIds(), problems);
  await reached(publisher, await say(started));
  const { config } = await streams.jsm.streams.info("FEED");
  await streams.jsm.streams.update("FEED", { ...config, max_msgs: 3 });
  let last = await say(said("1"), said("2"), said("3"), said("4"));
  await expect.poll(() => problems.length).toBeGreaterThan(0);
  expect(publisher.reached()).toBeLessThan(last);
  await streams.jsm.streams.update("FEED", { ...config, max_msgs: -1 });
  await reached(publisher, last);
  expect(ids(await told(streams))).toEqual(await publicIds(system.log, [ref]));

  const { port, dir } = system.server;
  let server = system.server;
  try {
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 50; n++) last = await say(said(`${round} ${n}`));
      await server.kill9();
      server = await startNats(dir, { port });
      last = await patiently(() => say(titled("after a kill")));
    }
    await reached(publisher, last);
    expect(ids(await told(streams))).toEqual(await publicIds(system.log, [ref]));
    await end(publisher);
  } finally {
    await streams.close();
    await server.stop();
  }
});

test("a feed that begins beside an old log tells what is as young as what it keeps", async () => {
  const { ref, say } = line(system, newRef());
  await say(started, said("old"));
  const clock = { ...systemClock, now: () => Date.now() + 8 * 24 * 60 * 60 * 1000 };
  const late = await publisherOn(system, systemIds(), [], clock);
  publishers.push(late);
  await expect.poll(() => late.reached()).toBe(1);
  await end(late);
  expect(await told(system.streams)).toEqual([]);
  expect((await readFeedPosition(system.streams)).next).toBe(null);
  const publisher = await begin();
  await reached(publisher, 1);
  expect(ids(await told(system.streams))).toEqual([`${ref.id}:1`, `${ref.id}:2`]);
});

test("anchors are public, and nobody is named for them", async () => {
  const root = "a".repeat(64);
  const anchored = event("chain.anchored", {
    ...{ root, previous: "0".repeat(64), chains: 1, commits: 2, from: 1, sequence: 2, settled: 2 },
  });
  const publisher = await begin();
  const workspace = line(system, workspaceRef("acme"), { type: "system", id: systemIds() });
  await reached(publisher, await workspace.say(anchored));
  const [found] = await told(system.streams);
  expect(found?.event.data).toMatchObject({
    ...{ user_id: null, payload: { root, from: 1, to: 2, chains: 1, commits: 2 } },
  });
});

test("I10: a tenant that reads its feed itself is given a reader of that feed, which only pulls", async () => {
  const client = await system.client();
  const { streams } = client;
  const problems: string[] = [];
  const start = async (): Promise<Publisher> => {
    const publisher = await startPublisher({
      ...client,
      ...{ clock: systemClock, holder: systemIds(), readers: ["acme"] },
      report: ({ what }) => problems.push(what),
    });
    publishers.push(publisher);
    return publisher;
  };
  const config = async () => (await streams.jsm.consumers.info("FEED", "acme")).config;
  const [ours, theirs] = ["acme", "other"].map((tenant) => line(client, { ...newRef(), tenant }));
  await ours?.say(started);
  const sequence = (await theirs?.say(started)) ?? 0;
  const first = await start();
  await reached(first, sequence);
  expect(await config()).toMatchObject({ filter_subject: "feed.acme.>", ack_policy: "explicit" });
  expect(await config()).not.toHaveProperty("deliver_subject");
  const reader = await streams.js.consumers.get("FEED", "acme");
  const message = await reader.next();
  expect(message?.subject).toMatch(/^feed\.acme\./);
  await message?.ackAck();
  await first.stop();
  // It keeps its place.
  await reached(await start(), sequence);
  expect(await reader.info()).toMatchObject({ num_pending: 0, num_ack_pending: 0 });
  await publishers.pop()?.stop();
  expect(problems).toEqual([]);

  // What somebody made in its place is not touched, but told.
  await streams.jsm.consumers.delete("FEED", "acme");
  await streams.jsm.consumers.add("FEED", {
    ...{ durable_name: "acme", filter_subject: "feed.acme.>", deliver_subject: "live.acme.x.1" },
  });
  await reached(await start(), sequence);
  expect(problems).toEqual([expect.stringContaining("the consumer acme of FEED is no reader")]);
});
