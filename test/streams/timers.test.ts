/** Timers on a real server: they fire through the partition transform, once, and outlive restarts. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { commandSubject } from "../../schemas/subjects.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { consumeCommands, type Delivery } from "../../streams/queue/queue.ts";
import { openTimers, type Timers } from "../../streams/queue/timers.ts";
import { joinWorkers } from "../../streams/queue/workers.ts";
import { startNats } from "../support/services.ts";
import { newRef, partitions, secret, startSystem, type System } from "./system.ts";

let system: System;
let timers: Timers;
const got: Delivery[] = [];
const problems: string[] = [];
const ends: (() => Promise<void>)[] = [];
const me = systemIds();
beforeEach(async () => {
  system = await startSystem();
  const { streams } = system;
  await ensureConsumers(streams, partitions);
  const report = ({ what }: { what: string }): void => void problems.push(what);
  timers = openTimers(streams, {
    ...{ worker: me, secret, clock: systemClock, ids: systemIds, report },
  });
  const worker = await joinWorkers(streams, { id: me, clock: systemClock });
  const queue = consumeCommands({
    ...{ streams, secret, worker, partitions, report },
    inbox: {
      deliver(deliveries) {
        for (const delivery of deliveries) {
          got.push(delivery);
          delivery.ack();
        }
      },
      lost: () => undefined,
    },
  });
  ends.push(async () => {
    timers.stop();
    await queue.stop();
    await worker.leave();
  });
});
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  await system.stop();
  got.length = 0;
  problems.length = 0;
});

const idle = { name: "idle", data: {} } as const;

test("a timer is delivered as a worker's command when its time has come, and is gone then", async () => {
  const ref = newRef();
  const at_ms = Date.now() + 1_200;
  timers.set(ref, "idle", at_ms, idle);
  await timers.settled();
  await expect.poll(() => got.length).toBe(1);
  expect(Date.now()).toBeGreaterThanOrEqual(at_ms - 5);
  expect(got[0]).toMatchObject({ ref, command: idle, by: { type: "system", id: me }, reply: null });
  const { state } = await system.streams.jsm.streams.info("COMMANDS");
  expect(state.messages).toBe(0);
  expect(problems).toEqual([]);
});

test("a later timer of the same key replaces the one before; one that is past comes at once", async () => {
  const ref = newRef();
  timers.set(ref, "idle", Date.now() + 3_600_000, idle);
  await timers.settled();
  timers.set(ref, "idle", Date.now() - 1_000, idle);
  await expect.poll(() => got.length).toBe(1);
  const info = await system.streams.jsm.streams.info("COMMANDS", { subjects_filter: "timer.>" });
  expect(info.state.subjects ?? {}).toEqual({});
});

test("I1: a timer outlives the server's death", async () => {
  const ref = newRef();
  timers.set(ref, "idle", Date.now() + 2_500, idle);
  await timers.settled();
  await system.server.kill9();
  const { dir, port } = system.server;
  const again = await startNats(dir, { port });
  ends.push(() => again.stop());
  await expect.poll(() => got.map((one) => one.ref)).toEqual([ref]);
});

test("I10: only a worker may ask for what a timer asks", async () => {
  const ref = newRef();
  const { js, jsm } = system.streams;
  const payload = JSON.stringify({ id: systemIds(), data: {} });
  await js.publish(commandSubject(ref, "idle"), payload);
  const dead = async (): Promise<number> => (await jsm.streams.info("DEAD")).state.messages;
  await expect.poll(dead).toBe(1);
  const letter = await jsm.streams.getMessage("DEAD", { seq: 1 });
  expect(letter?.header.get("Colloquy-Code")).toBe("forbidden");
  expect(got).toEqual([]);
});
