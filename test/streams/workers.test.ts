/** Membership and the sharing of partitions. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Clock, systemClock, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { assignment } from "../../streams/queue/assignment.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { readOwnership } from "../../streams/queue/ownership.ts";
import { consumeCommands } from "../../streams/queue/queue.ts";
import { joinWorkers } from "../../streams/queue/workers.ts";
import { newRef, partitions, secret, startSystem, type System } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

/** A clock that stands still when told to, as a process does that is suspended. */
function stoppable(): { clock: Clock; freeze(): void; thaw(): void } {
  let frozen = false;
  const late: (() => void)[] = [];
  return {
    freeze: () => (frozen = true),
    thaw() {
      frozen = false;
      for (const call of late.splice(0)) call();
    },
    clock: {
      now: () => systemClock.now(),
      after: (ms, call) => systemClock.after(ms, () => (frozen ? late.push(call) : call())),
    },
  };
}

test("workers see each other come, leave and die; who died is gone only after a whole TTL", async () => {
  const [one, two, three] = [systemIds(), systemIds(), systemIds()];
  const first = await joinWorkers(system.streams, { id: one, clock: systemClock });
  expect(first.members()).toEqual([one]);
  const other = await system.client();
  const leaving = await joinWorkers(other.streams, { id: two, clock: systemClock });
  const { clock, freeze } = stoppable();
  await joinWorkers(other.streams, { id: three, clock });
  let changes = 0;
  const end = first.changes(() => (changes += 1));
  await expect.poll(() => first.members()).toEqual([one, two, three].sort());
  expect(changes).toBeGreaterThan(0);
  expect([one, two, three].map((id) => first.gone(id))).toEqual([false, false, false]);

  await leaving.leave();
  freeze();
  const began_ms = Date.now();
  await expect.poll(() => first.members()).toEqual([one]);
  await expect.poll(() => first.gone(three)).toBe(true);
  expect(Date.now() - began_ms).toBeGreaterThanOrEqual(limits.worker_ttl_ms);
  await expect.poll(() => first.gone(two)).toBe(true);
  expect(first.gone(one)).toBe(false);
  end();
  await first.leave();
});

test("I7: an entry that ended and was made anew is another one: what was held under it is lost", async () => {
  const { streams } = await system.client();
  await ensureConsumers(streams, partitions);
  const { clock, freeze, thaw } = stoppable();
  const worker = await joinWorkers(streams, { id: systemIds(), clock });
  const lost: number[] = [];
  const got: number[] = [];
  const queue = consumeCommands({
    ...{ streams, secret, worker, partitions, report: () => undefined },
    inbox: {
      deliver(deliveries) {
        for (const delivery of deliveries) {
          got.push(delivery.partition);
          delivery.ack();
        }
      },
      lost: (partition) => lost.push(partition),
    },
  });
  const command = { ref: newRef(), name: "cancel", data: {}, id: systemIds(), reply: null };
  const by = { type: "user" as const, id: "ann" };
  await commandPublisher(streams, secret).publish({ ...command, by, traceparent: null });
  await expect.poll(() => got.length).toBeGreaterThan(0);
  const since_ms = worker.since_ms();
  freeze();
  await expect.poll(() => worker.since_ms()).toBe(null);
  thaw();
  await expect.poll(() => worker.since_ms() ?? 0).toBeGreaterThan(since_ms ?? 0);
  await expect.poll(() => lost).toContain(got[0]);
  // It goes on pulling under the same pin, and says so in its entry.
  const beats = streams.nc.subscribe(`$KV.WORKERS.${worker.id}`, { max: 2 });
  for await (const _beat of beats);
  await streams.nc.flush();
  expect((await readOwnership(streams)).partitions[got[0] ?? 0]?.state).toBe("owned");
  await queue.stop();
  await worker.leave();
});

test("a worker that just came believes nobody to be gone for a whole TTL", async () => {
  const worker = await joinWorkers(system.streams, { id: systemIds(), clock: systemClock });
  const began_ms = Date.now();
  expect(worker.gone("who-was-here-before")).toBe(false);
  await expect.poll(() => worker.gone("who-was-here-before")).toBe(true);
  expect(Date.now() - began_ms).toBeGreaterThanOrEqual(limits.worker_ttl_ms - 50);
  await worker.leave();
});

test("every partition has one first choice and one stand-by, and few move with a member", () => {
  const members = Array.from({ length: 5 }, () => systemIds());
  const owners = (present: string[], rank: number): Map<number, string> => {
    const found = new Map<number, string>();
    for (const worker of present) {
      for (const [partition, at] of assignment(worker, present, 64)) {
        if (at !== rank) continue;
        expect(found.has(partition)).toBe(false);
        found.set(partition, worker);
      }
    }
    return found;
  };
  const firsts = owners(members, 0);
  const standBys = owners(members, 1);
  expect([firsts.size, standBys.size]).toEqual([64, 64]);
  const [left = "", ...rest] = members;
  for (const [partition, owner] of owners(rest, 0)) {
    expect(owner).toBe(
      firsts.get(partition) === left ? standBys.get(partition) : firsts.get(partition),
    );
  }
  expect(assignment(left, rest, 64).size).toBe(0);
  expect([...assignment(left, [left], 8).values()]).toEqual(Array.from({ length: 8 }, () => 0));
});
