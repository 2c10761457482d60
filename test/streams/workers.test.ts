/** Membership and the sharing of partitions. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Clock, systemClock, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { assignment } from "../../streams/assignment.ts";
import { joinWorkers } from "../../streams/workers.ts";
import { startSystem, type System } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

/** A clock that stands still when told to, as a process does that is suspended. */
function stoppable(): { clock: Clock; freeze(): void } {
  let frozen = false;
  return {
    freeze: () => (frozen = true),
    clock: {
      now: () => systemClock.now(),
      after: (ms, call) => systemClock.after(ms, () => (frozen ? undefined : call())),
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
  await expect.poll(() => first.members(), { timeout: 9_000 }).toEqual([one, two, three].sort());
  expect(changes).toBeGreaterThan(0);
  expect([one, two, three].map((id) => first.gone(id))).toEqual([false, false, false]);

  await leaving.leave();
  freeze();
  const began_ms = Date.now();
  await expect.poll(() => first.members(), { timeout: 9_000 }).toEqual([one]);
  await expect.poll(() => first.gone(three), { timeout: 15_000 }).toBe(true);
  expect(Date.now() - began_ms).toBeGreaterThanOrEqual(limits.worker_ttl_ms);
  await expect.poll(() => first.gone(two), { timeout: 15_000 }).toBe(true);
  expect(first.gone(one)).toBe(false);
  end();
  await first.leave();
}, 40_000);

test("a worker that just came believes nobody to be gone for a whole TTL", async () => {
  const worker = await joinWorkers(system.streams, { id: systemIds(), clock: systemClock });
  const began_ms = Date.now();
  expect(worker.gone("who-was-here-before")).toBe(false);
  await expect.poll(() => worker.gone("who-was-here-before"), { timeout: 9_000 }).toBe(true);
  expect(Date.now() - began_ms).toBeGreaterThanOrEqual(limits.worker_ttl_ms - 50);
  await worker.leave();
}, 20_000);

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
