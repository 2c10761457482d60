/**
 * One server in trouble: killed, cut off, silent, full. Whoever writes waits or is refused with a
 * code, nothing acknowledged is lost, and everything goes on by itself (I1, I3).
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import { empty_head } from "../../schemas/commit.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { followCommits } from "../../streams/live/live.ts";
import { readCommits } from "../../streams/log/reader.ts";
import { startSender, startTaker } from "./senders.ts";
import { all, draft, newRef, partitions, said, startSystemOn, type System } from "./system.ts";
import { startTroubled, type Troubled } from "./troubled.ts";
import { patiently, startWriters } from "./writers.ts";

let system: System<Troubled>;
const ends: (() => Promise<void> | void)[] = [];
beforeEach(async () => {
  system = await startSystemOn(await startTroubled(), 1);
  await ensureConsumers(system.streams, partitions);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await system.stop();
});

const waiting = async (): Promise<number> =>
  (await system.streams.jsm.streams.info("COMMANDS")).state.messages;
const every = Array.from({ length: partitions }, (_, partition) => partition);

test("I3: kill -9 under load, again and again: nothing acknowledged is lost", async () => {
  const { server } = system;
  const clients = [await system.client(), await system.client()];
  const writers = startWriters(clients, 3);
  for (let round = 0; round < 3; round++) {
    await writers.more(10);
    await server.kill9();
    await server.start();
  }
  await writers.more(10);
  await writers.stop();
  expect(writers.refusals.filter((code) => code !== "unavailable")).toEqual([]);
  expect(writers.conflicts).toEqual([]);
  await writers.account(system.log);
});

test("I3: appends whose answers are lost with the connection are found, and count once", async () => {
  const { server, log } = system;
  const clients = [await system.client(server.way), await system.client(server.way)];
  const writers = startWriters(clients, 3);
  for (let round = 0; round < 3; round++) {
    await writers.more(5);
    server.mute();
    // Those who write alone have each landed one that they do not know of.
    const unknown = async (): Promise<number> =>
      (await log.lastSequence()) - writers.acknowledged();
    await expect.poll(unknown, { interval: 5 }).toBeGreaterThan(6);
    await server.cut();
    await server.mend();
  }
  await writers.more(5);
  await writers.stop();
  expect(writers.conflicts).toEqual([]);
  await writers.account(log);
});

/** Everything that follows something, on a connection through the proxy. */
async function followers() {
  const client = await system.client(system.server.way);
  const { streams, vault } = client;
  const ref = newRef();
  const read: string[] = [];
  const abort = new AbortController();
  const reading = (async () => {
    for await (const logged of readCommits(streams, vault, { after: 0, signal: abort.signal })) {
      if ("events" in logged) read.push(logged.commit);
    }
  })();
  const live: string[] = [];
  const following = followCommits(streams, vault, ref, ({ commit }) => live.push(commit));
  await following.ready;
  const taker = await startTaker(client);
  const sender = startSender(client);
  ends.push(async () => {
    await sender.stop();
    await taker.stop();
    following.stop();
    abort.abort();
    await reading;
  });
  await taker.until(() => taker.workers.members().includes(taker.workers.id));
  await sender.more(20);
  let head = empty_head;
  return {
    ...{ client, taker, sender },
    /** Everything works: what is written arrives by every lane. */
    async works() {
      const append = async (text: string): Promise<string> => {
        const decision = draft(ref, [said(text)]);
        const done = await patiently(() => client.log.append(decision, head));
        if (!done.ok) throw new Error("nobody else writes there");
        head = done.head;
        return decision.commit;
      };
      const first = await append("still here?");
      await expect.poll(() => read.includes(first), looks).toBe(true);
      // A core subscription is live as soon as the connection is.
      const second = await append("and live?");
      await expect.poll(() => live.includes(second), looks).toBe(true);
      await sender.more(20);
      await sender.stop();
      expect(sender.refusals.filter((code) => code !== "unavailable")).toEqual([]);
      await taker.until(() => sender.acknowledged.every((id) => taker.taken.includes(id)));
      await expect.poll(waiting, looks).toBe(0);
      await taker.until(() => taker.workers.members().includes(taker.workers.id));
      expect(taker.queue.owned()).toEqual(every);
      const commits = await patiently(() => all(client.log.read(ref, empty_head)));
      expect(read.filter((one) => commits.some(({ commit }) => commit === one))).toEqual(
        commits.map(({ commit }) => commit),
      );
    },
  };
}
const looks = { interval: 50 };

test("I1: a server that is killed and started again: every lane works again by itself", async () => {
  const { works, sender } = await followers();
  for (let round = 0; round < 2; round++) {
    await system.server.kill9();
    await system.server.start();
    await sender.more(20);
  }
  await works();
});

test("I1: a connection that is cut for long: commands are refused with a code, then all goes on", async () => {
  const { works, sender, taker } = await followers();
  await system.server.cut();
  // Refused when the client's patience is over; by then the entry in WORKERS is lost, too.
  await sender.refused(1);
  await taker.until(() => !taker.workers.members().includes(taker.workers.id));
  expect(taker.queue.owned()).toEqual([]);
  await system.server.mend();
  await works();
});

test("I1: a way that swallows everything is left, and all goes on", async () => {
  const { works, sender, client } = await followers();
  const left = new Promise<void>((resolve) => {
    client.streams.onLink((up) => (up ? undefined : resolve()));
  });
  system.server.stall();
  await sender.refused(1);
  await left;
  await system.server.mend();
  await works();
});

test("I1: a server that stands still, as with a slow disk, and goes on: so does everything", async () => {
  const { works, sender, taker } = await followers();
  system.server.suspend();
  await sender.refused(1);
  expect(taker.workers.members()).not.toContain(taker.workers.id);
  system.server.resume();
  await works();
});

test("an erasure is heard by whoever was cut off, or asleep, while it happened", async () => {
  const { server, vault } = system;
  const far = await system.client(server.way);
  const heard = async (trouble: () => Promise<void>): Promise<void> => {
    const ref = newRef();
    await far.vault.key(ref, true);
    await trouble();
    // Whoever erases tries until it succeeds.
    const refusal = (): Promise<unknown> => vault.erase(ref).catch((error: unknown) => error);
    await expect.poll(refusal, looks).toBeUndefined();
    await server.mend();
    await expect.poll(() => far.vault.cached(ref), looks).toBeNull();
  };
  await heard(() => server.cut());
  await heard(async () => {
    await server.kill9();
    await server.start();
  });
});

/** Sets what a stream may take beside what it holds now; null for anything. */
async function room(stream: string, bytes: number | null): Promise<void> {
  const { streams } = system.streams.jsm;
  const { config, state } = await streams.info(stream);
  const max_bytes = bytes === null ? -1 : state.bytes + bytes;
  await streams.update(stream, { ...config, max_bytes });
}

test("I1: a full queue refuses with a code, and forgets nothing that it has acknowledged", async () => {
  const client = await system.client();
  await room("COMMANDS", 30_000);
  const sender = startSender(client);
  await sender.refused(3);
  expect(new Set(sender.refusals)).toEqual(new Set(["unavailable"]));
  const held = [...sender.acknowledged];
  expect(await waiting()).toBe(held.length);
  // Whoever works makes room, and it goes on by itself.
  const taker = await startTaker(client);
  ends.push(() => taker.stop());
  await sender.more(2 * held.length);
  await sender.stop();
  await taker.until(() => sender.acknowledged.every((id) => taker.taken.includes(id)));
  await expect.poll(waiting, looks).toBe(0);
});

test("I3: a full log refuses with a code; with room again the same appends go on", async () => {
  await room("EVENTS", 30_000);
  const writers = startWriters([await system.client(), await system.client()], 2);
  await writers.refused(10);
  const full = writers.acknowledged();
  expect(full).toBeGreaterThan(0);
  expect(await system.log.lastSequence()).toBe(full);
  await room("EVENTS", null);
  await writers.more(10);
  await writers.stop();
  expect(new Set(writers.refusals)).toEqual(new Set(["unavailable"]));
  expect(writers.conflicts).toEqual([]);
  await writers.account(system.log);
});

test("memory streams are made again although the server is silent when it is back", async () => {
  const { server } = system;
  const taker = await startTaker(await system.client());
  ends.push(() => taker.stop());
  await taker.until(() => taker.workers.members().includes(taker.workers.id));
  const back = new Promise<void>((resolve) => {
    system.streams.onLink((up) => (up ? resolve() : undefined));
  });
  await server.kill9();
  await server.start();
  await back;
  server.suspend();
  await taker.until(() => !taker.workers.members().includes(taker.workers.id));
  server.resume();
  await taker.until(() => taker.workers.members().includes(taker.workers.id));
});
