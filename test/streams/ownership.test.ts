/** Who owns which partition, as an operator sees it: two workers, one killed, then the other (I7). */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { partitionRanges, type PartitionView } from "../../schemas/ownership.ts";
import { assignment } from "../../streams/queue/assignment.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { consumerName, ensureConsumers, owner_group } from "../../streams/queue/consumers.ts";
import { readOwnership } from "../../streams/queue/ownership.ts";
import { joinWorkers } from "../../streams/queue/workers.ts";
import { newRef, partitions, secret, startSystem, type System } from "./system.ts";
import { quick } from "../support/programs.ts";

let system: System;
const ends: (() => Promise<void> | void)[] = [];
beforeEach(async () => {
  system = await startSystem();
  await ensureConsumers(system.streams, partitions);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await system.stop();
});

/** A worker process, and its id. */
async function child(): Promise<{ process: ChildProcess; id: string }> {
  const file = new URL("./worker-child.ts", import.meta.url).pathname;
  const args = [...quick, file, system.server.url, secret.toString("hex")];
  const running = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const gone = once(running, "exit");
  ends.push(async () => {
    running.kill("SIGKILL");
    await gone;
  });
  const id = await new Promise<string>((ready) => {
    createInterface({ input: running.stdout }).on("line", (line) => {
      const said = JSON.parse(line) as { ready?: string }; // our own
      if (said.ready !== undefined) ready(said.ready);
    });
  });
  return { process: running, id };
}

/** A command for every partition, so that each is pinned. */
async function knock(): Promise<void> {
  const publisher = commandPublisher(system.streams, secret);
  const by = { type: "user", id: "ann" } as const;
  await Promise.all(
    Array.from({ length: 12 * partitions }, () =>
      publisher.publish({
        ...{ ref: newRef(), name: "cancel", id: systemIds(), data: {}, by },
        ...{ reply: null, traceparent: null },
      }),
    ),
  );
}
const look = async (): Promise<readonly PartitionView[]> =>
  (await readOwnership(system.streams)).partitions;
const states = (views: readonly PartitionView[]): string[] => [
  ...new Set(views.map(({ state }) => state)),
];
/** Whose they are, once every one has an owner that is known. */
const owners = async (): Promise<Set<string | null> | null> => {
  await knock();
  const views = await look();
  return states(views).join() === "owned" ? new Set(views.map(({ worker }) => worker)) : null;
};
const poll = { interval: 250 };

test("I7: every partition names its owner; a killed worker's go to the other; without one all are orphaned", async () => {
  const none = await look();
  expect(none.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(none.every(({ state, why }) => state === "orphaned" && why === "no worker is there")).toBe(
    true,
  );

  const [one, two] = [await child(), await child()];
  await expect.poll(async () => states(await look()), poll).toEqual(["free"]);
  const first = await look();
  expect(first.every(({ worker }) => worker === one.id || worker === two.id)).toBe(true);
  await expect.poll(owners, poll).not.toBe(null);

  one.process.kill("SIGKILL");
  await expect.poll(owners, poll).toEqual(new Set([two.id]));
  await expect
    .poll(async () => (await readOwnership(system.streams)).workers.map(({ id }) => id), poll)
    .toEqual([two.id]);

  two.process.kill("SIGKILL");
  await once(two.process, "exit");
  await knock();
  await expect
    .poll(async () => (await look()).map(({ why }) => why), poll)
    .toEqual(Array.from({ length: partitions }, () => "no worker is there"));
  const open = (await look()).reduce((sum, view) => sum + view.open, 0);
  expect(open).toBeGreaterThanOrEqual(12 * partitions);
});

test("I7: a partition that was handed over and comes back is known by its new pin", async () => {
  const one = await child();
  await expect.poll(owners, poll).toEqual(new Set([one.id]));
  const two = await child();
  const settled = async (): Promise<boolean> => {
    await knock();
    const views = await look();
    const mine = assignment(two.id, [one.id, two.id].sort(), partitions);
    return views.every(
      ({ partition, worker }) => worker === (mine.get(partition) === 0 ? two.id : one.id),
    );
  };
  await expect.poll(settled, poll).toBe(true);
  two.process.kill("SIGKILL");
  await expect.poll(owners, poll).toEqual(new Set([one.id]));
});

test("a pin of nobody that is known is moving at first, and orphaned when nobody claims it", async () => {
  const workers = await joinWorkers(system.streams, { id: systemIds(), clock: systemClock });
  ends.push(() => workers.leave());
  const { streams } = await system.client();
  const consumer = await streams.js.consumers.get("COMMANDS", consumerName(3));
  const pulling = await consumer.consume({
    group: owner_group,
    expires: limits.pull_expires_ms,
    callback: (message) => message.ack(),
  });
  ends.push(() => pulling.stop());
  await expect
    .poll(async () => (await look())[3], poll)
    .toMatchObject({
      ...{ state: "free", worker: workers.id },
    });
  await knock();
  expect((await look())[3]).toMatchObject({ state: "moving", worker: null });
  await expect
    .poll(async () => (await look())[3], poll)
    .toMatchObject({
      ...{ state: "orphaned", why: "who holds it is no worker that is there" },
    });
  // Claimed at last.
  const info = JSON.stringify(await streams.jsm.consumers.info("COMMANDS", consumerName(3)));
  const pin = /"pinned_client_id":"([^"]+)"/.exec(info)?.[1] ?? "";
  workers.announce(() => new Map([[3, pin]]));
  await expect
    .poll(async () => (await look())[3], poll)
    .toMatchObject({
      ...{ state: "owned", worker: workers.id },
    });
});

test("a worker that beats and does not pull owns nothing", async () => {
  const workers = await joinWorkers(system.streams, { id: systemIds(), clock: systemClock });
  ends.push(() => workers.leave());
  expect((await look()).map(({ state, why }) => `${state}: ${why ?? ""}`)).toEqual(
    Array.from({ length: partitions }, () => "orphaned: no worker takes its commands"),
  );
  await system.streams.jsm.consumers.delete("COMMANDS", consumerName(5));
  expect((await look())[5]).toMatchObject({ state: "orphaned", why: "its consumer is missing" });
});

test("entries that say nothing, or nonsense, are workers all the same", async () => {
  const kv = "$KV.WORKERS.";
  await system.streams.js.publish(`${kv}silent`, "");
  await system.streams.js.publish(`${kv}odd`, '{"where":7,"pins":[]}');
  await system.streams.js.publish(`${kv}known`, '{"where":"here 1","pins":{"0":"a","x":"b"}}');
  const { workers } = await readOwnership(system.streams);
  expect(workers.map(({ id, where }) => [id, where])).toEqual([
    ["known", "here 1"],
    ["odd", ""],
    ["silent", ""],
  ]);
});

test("before anything is set up there are no partitions", async () => {
  await system.streams.jsm.streams.delete("COMMANDS");
  expect(await look()).toEqual([]);
  expect(partitionRanges([7, 0, 2, 1, 5])).toBe("0-2, 5, 7");
});
