/**
 * Whole workers while NATS is in trouble: turns complete or are restarted, no conversation stays
 * generating, and nothing of ours has to be started again (I1, I2, I7).
 */
import { afterEach, expect, test } from "vitest";
import { isEnding } from "../../schemas/events.ts";
import { type Cluster, startCluster } from "../streams/cluster.ts";
import { startSystemOn } from "../streams/system.ts";
import { patiently } from "../streams/writers.ts";
import { startTroubled, type Troubled } from "../streams/troubled.ts";
import { startWorld, type Talk, type World } from "./worker.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function worldOn<S extends Troubled | Cluster>(
  server: S,
  replicas: 1 | 3,
): Promise<World & { server: S }> {
  const world = await startWorld(await startSystemOn(server, replicas));
  ends.push(() => world.stop());
  return { ...world, server };
}
const looks = { interval: 50 };

/** So many conversations with an answer under way that the gate of the provider holds. */
async function answering({ talk, provider }: World, count: number): Promise<Talk[]> {
  const talks: Talk[] = [];
  for (let number = 1; number <= count; number++) {
    const one = await talk();
    const sent = one.command("send", { text: `Answer ${number} [[tokens:6]] [[gate]]` });
    expect(await sent).toMatchObject({ ok: true });
    talks.push(one);
  }
  await provider.whenRequest(count);
  return talks;
}

/** The events that ended turns, from the log: the live lane may have lost some. */
const endings = async (talk: Talk) =>
  (await talk.log().catch(() => [])).filter(({ type }) => isEnding(type));

/** Every conversation comes to so many ends of turns, and none of them by failure. */
async function ended(talks: readonly Talk[], count: number): Promise<void> {
  for (const talk of talks) {
    await expect.poll(async () => (await endings(talk)).length, looks).toBe(count);
    const types = (await patiently(() => talk.log())).map(({ type }) => type);
    expect(types).not.toContain("turn.failed");
    expect(types.filter((type) => type === "turn.started")).toHaveLength(count);
  }
}

/** Problems that are not the trouble itself. */
const bugs = (problems: readonly string[]): string[] =>
  problems.filter((problem) => !troubles.test(problem));
const troubles =
  /^(an actor waits|partition \d+ could not be pulled|a snapshot could not be (read|stored)|a (\w+ could not be sent yet|timer could not be set)|this process stood still)\b/;

test("I7: the server is killed and started again in mid-answer: every turn ends by itself", async () => {
  const world = await worldOn(await startTroubled(), 1);
  const worker = await world.worker();
  const talks = await answering(world, 3);
  for (const one of talks) await one.command("send", { text: "And then? [[tokens:3]]" });
  world.provider.release(3);
  await world.server.kill9();
  await world.server.start();
  world.provider.release(1_000);
  await ended(talks, 2);
  expect(bugs(worker.problems)).toEqual([]);
  const late = await world.talk();
  expect(await late.command("send", { text: "All well?" })).toMatchObject({ ok: true });
  await ended([late], 1);
});

test("I1: the log is full in mid-answer: what ends waits for room, a command is not lost", async () => {
  const world = await worldOn(await startTroubled(), 1);
  const worker = await world.worker();
  const { streams } = world.system.streams.jsm;
  const talks = await answering(world, 2);
  const { config, state } = await streams.info("EVENTS");
  await streams.update("EVENTS", { ...config, max_bytes: state.bytes });
  const late = await world.talk();
  const answer = late.command("send", { text: "Too late? [[tokens:3]]" });
  world.provider.release(1_000);
  for (const number of [1, 2]) {
    await expect.poll(() => world.provider.requests[number - 1]?.state, looks).toBe("finished");
  }
  // It stays in its place for ever, never with the dead; and whoever runs this is told.
  const told = (): string[] => worker.problems.filter((one) => one.startsWith("an actor waits"));
  const waits: unknown = expect.stringMatching(/^an actor waits: .*maximum bytes/);
  await expect.poll(told, looks).toEqual([waits, waits, waits]);
  expect(await streams.info("DEAD")).toMatchObject({ state: { messages: 0 } });
  for (const one of talks) expect(await endings(one)).toEqual([]);
  await streams.update("EVENTS", { ...config, max_bytes: -1 });
  expect(await answer).toMatchObject({ ok: true });
  await ended([...talks, late], 1);
  expect(bugs(worker.problems)).toEqual([]);
});

test("I7: a worker whose connection is cut gives way to the other, comes back, and doubles nothing", async () => {
  const world = await worldOn(await startTroubled(), 1);
  const far = await world.worker({ url: world.server.way });
  const talks = await answering(world, 4);
  const near = await world.worker();
  await world.server.cut();
  // The calls of the one that is cut off are ended before it may be called dead.
  for (const number of [1, 2, 3, 4]) await world.provider.whenAborted(number);
  await world.provider.whenRequest(8);
  world.provider.release(1_000);
  await ended(talks, 1);
  await world.server.mend();
  await expect.poll(() => far.queue.owned().length, looks).toBeGreaterThan(0);
  const late = await Promise.all(Array.from({ length: 8 }, () => world.talk()));
  for (const one of late) await one.command("send", { text: "Who is there?" });
  await ended(late, 1);
  expect(bugs([...far.problems, ...near.problems])).toEqual([]);
});

test("I7: a cluster loses the node that leads in mid-answer: every turn ends by itself", async () => {
  const world = await worldOn(await startCluster(), 3);
  const workers = [await world.worker(), await world.worker()];
  const talks = await answering(world, 4);
  for (const one of talks) await one.command("send", { text: "And then? [[tokens:3]]" });
  world.provider.release(4);
  const leader = await world.server.leader("EVENTS");
  if (leader === null) throw new Error("no leader");
  await world.server.kill9(leader);
  world.provider.release(1_000);
  await ended(talks, 2);
  await world.server.start(leader);
  await world.server.whole();
  const late = await world.talk();
  expect(await late.command("send", { text: "All well?" })).toMatchObject({ ok: true });
  await ended([late], 1);
  expect(bugs(workers.flatMap(({ problems }) => problems))).toEqual([]);
});
