/**
 * The log and the queue on a cluster of three, which loses its leaders: what was acknowledged stays,
 * exactly once and in one line, and everything goes on by itself (I1, I3). On a cluster the look for
 * a repeated message comes before the look at the expected sequence; on one server it is the reverse.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { empty_head } from "../../schemas/commit.ts";
import { appendToFeed, readFeedPosition } from "../../streams/feed/feed.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { readCommits } from "../../streams/log/reader.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { startSender, startTaker } from "./senders.ts";
import {
  all,
  type Client,
  draft,
  newRef,
  partitions,
  said,
  startSystemOn,
  type System,
} from "./system.ts";
import { patiently, startWriters, type Writers } from "./writers.ts";

let cluster: Cluster;
let system: System<Cluster>;
const clients: Client[] = [];
beforeAll(async () => {
  cluster = await startCluster();
  system = await startSystemOn(cluster, 3);
  await ensureConsumers(system.streams, partitions);
  for (const name of cluster.names) clients.push(await system.client(cluster.urlOf(name)));
});
afterEach(() => cluster.whole());
afterAll(() => system.stop());

/** Reads the whole log as it grows, until it has seen as much as it then holds. */
function readAlong({ streams, vault, log }: Client): { end(): Promise<string[]> } {
  const seen: string[] = [];
  const abort = new AbortController();
  let end = Number.POSITIVE_INFINITY;
  const reading = (async () => {
    for await (const logged of readCommits(streams, vault, { after: 0, signal: abort.signal })) {
      seen.push("events" in logged ? logged.commit : "damaged");
      if (logged.sequence >= end) return;
    }
  })();
  return {
    async end() {
      end = await patiently(() => log.lastSequence());
      // One more, so that a reader that is at the end already hears of it.
      const last = draft(newRef(), [said("end")]);
      await patiently(() => log.append(last, empty_head));
      await reading;
      return seen;
    },
  };
}

async function accounted(writers: Writers, reader: { end(): Promise<string[]> }): Promise<void> {
  await writers.stop();
  expect(new Set(writers.refusals)).toEqual(new Set(writers.refusals.map(() => "unavailable")));
  expect(writers.conflicts).toEqual([]);
  const commits = [...(await writers.account(system.log)).values()].flat();
  const inOrder = commits.sort((one, other) => one.sequence - other.sequence);
  const ours = new Set(inOrder.map(({ commit }) => commit));
  const read = (await reader.end()).filter((commit) => ours.has(commit));
  expect(read).toEqual(inOrder.map(({ commit }) => commit));
}

test("I3: repeats and races on a cluster: one line, each commit once", async () => {
  const [one, other] = clients;
  if (one === undefined || other === undefined) throw new Error("no clients");
  const ref = newRef();
  const decision = draft(ref, [said("once")]);
  const first = await one.log.append(decision, empty_head);
  expect(await other.log.append(decision, empty_head)).toEqual(first);
  for (let round = 0; round < 20; round++) {
    const last = await one.log.last(ref);
    if (last === null) throw new Error("nothing there");
    const head = { revision: last.revision, sequence: last.sequence, hash: last.hash };
    const drafts = clients.map(() => draft(ref, [said(`round ${round}`)]));
    const results = await Promise.all(
      // Each is sent twice at once, as one whose answer was lost would be.
      clients.flatMap(({ log }, index) => {
        const mine = drafts[index] ?? decision;
        return [log.append(mine, head), log.append(mine, head)];
      }),
    );
    const winners = results.flatMap((result, at) => (result.ok ? [Math.floor(at / 2)] : []));
    expect(new Set(winners).size).toBe(1);
    expect(winners).toHaveLength(2);
  }
  expect(await all(other.log.read(ref, empty_head))).toHaveLength(21);
});

test("I3: kill -9 of the node that leads, under load: nothing acknowledged is lost", async () => {
  const reader = readAlong(system);
  const writers = startWriters(clients, 3);
  await writers.more(20);
  const leader = await cluster.leader("EVENTS");
  if (leader === null) throw new Error("no leader");
  await cluster.kill9(leader);
  await writers.more(20);
  expect(await cluster.leader("EVENTS")).not.toBe(leader);
  await cluster.start(leader);
  await writers.more(20);
  await accounted(writers, reader);
  // The node that was killed holds the same: it tells so when it leads itself.
  await cluster.whole();
  for (let tries = 0; (await cluster.leader("EVENTS")) !== leader && tries < 20; tries++) {
    await cluster.stepDown("EVENTS");
  }
  expect(await cluster.leader("EVENTS")).toBe(leader);
  await writers.account(system.log);
});

test("I3: leaders that step down under load: nothing acknowledged is lost", async () => {
  const reader = readAlong(system);
  const writers = startWriters(clients, 3);
  for (let round = 0; round < 3; round++) {
    await writers.more(5);
    await cluster.stepDown("EVENTS");
  }
  await writers.more(5);
  await accounted(writers, reader);
});

test("I3: a leader that is suspended and wakes up again under load forks nothing", async () => {
  const reader = readAlong(system);
  const writers = startWriters(clients, 3);
  await writers.more(5);
  const leader = await cluster.leader("EVENTS");
  if (leader === null) throw new Error("no leader");
  cluster.suspend(leader);
  await writers.more(10);
  cluster.resume(leader);
  await writers.more(10);
  await accounted(writers, reader);
});

test("I1: kill -9 of the node that leads the queue: what was acknowledged comes to a worker", async () => {
  const [client, other] = clients;
  if (client === undefined || other === undefined) throw new Error("no clients");
  const takers = [await startTaker(client), await startTaker(other)];
  const sender = startSender(client);
  await sender.more(20);
  const leader = await cluster.leader("COMMANDS");
  if (leader === null) throw new Error("no leader");
  await cluster.kill9(leader);
  await sender.more(20);
  await cluster.start(leader);
  await sender.more(20);
  await sender.stop();
  expect(sender.refusals.filter((code) => code !== "unavailable")).toEqual([]);
  const missing = (): string[] => {
    const taken = new Set(takers.flatMap((taker) => taker.taken));
    return sender.acknowledged.filter((id) => !taken.has(id));
  };
  await expect.poll(missing).toEqual([]);
  const left = async (): Promise<number | undefined> =>
    (await system.streams.jsm.streams.info("COMMANDS").catch(() => null))?.state.messages;
  await expect.poll(left).toBe(0);
  for (const { workers, until } of takers) {
    await until(() => takers.every((taker) => workers.members().includes(taker.workers.id)));
  }
  const owned = (): number => new Set(takers.flatMap(({ queue }) => queue.owned())).size;
  await expect.poll(owned).toBe(partitions);
  for (const taker of takers) await taker.stop();
});

test("of two that append to the feed at one place the later leaves nothing, and the feed goes on", async () => {
  const { streams } = system;
  const position = await patiently(() => readFeedPosition(streams));
  const telling = [1, 2, 3, 4].map((sequence) => {
    const id = crypto.randomUUID();
    const json = JSON.stringify({ id });
    const subject = `feed.acme.turn.completed.${id}`;
    const name = "turn.completed";
    const event = { id, name, type: `colloquy.${name}.v1`, subject, json };
    return { place: { sequence, index: 0 }, event };
  });
  const place = (sequence: number) => ({ sequence, index: 0 });
  const behind = await appendToFeed(streams, position, telling.slice(0, 2), place(3));
  const late = appendToFeed(streams, position, telling, place(5));
  await expect(late).rejects.toMatchObject({ code: "unavailable" });
  expect(await patiently(() => readFeedPosition(streams))).toEqual(behind);
  await appendToFeed(streams, behind, telling.slice(2), place(5));
  expect((await readFeedPosition(streams)).next).toEqual(place(5));
});
