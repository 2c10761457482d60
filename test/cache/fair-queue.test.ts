/** A tenant's work never stands behind all of another's. */
import { expect, test } from "vitest";
import { FairQueue } from "../../cache/fair-queue.ts";

/** A server that does one thing at a time, in its order, `each_ms` each; the clock is stepped. */
function scene(each_ms: number) {
  let now = 0;
  const server: { name: string; leave: () => void }[] = [];
  const queue = new FairQueue({ now: () => now }, 1_000);
  const waits = new Map<string, number[]>();
  let most = 0;
  const ask = (name: string): void => {
    const began = now;
    queue.enter(name, (leave) => {
      server.push({
        name,
        leave() {
          waits.set(name, [...(waits.get(name) ?? []), now - began]);
          leave();
        },
      });
      most = Math.max(most, server.length);
    });
  };
  return {
    queue,
    ask,
    waits: (name: string) => waits.get(name) ?? [],
    most: () => most,
    /** The server does the next thing. */
    step(): string | undefined {
      now += each_ms;
      const done = server.shift();
      done?.leave();
      return done?.name;
    },
    pass: (ms: number): void => void (now += ms),
  };
}

test("I10: beside a tenant that asks for a thousand things at once, another waits for a few", () => {
  const { ask, step, waits, queue, pass } = scene(2);
  ask("quiet");
  step();
  for (let n = 0; n < 1_000; n++) ask("loud");
  for (let round = 0; round < 60; round++) {
    ask("quiet");
    for (let n = 0; n < 10; n++) {
      if (step() === "loud") ask("loud");
    }
    pass(5);
  }
  const felt = waits("quiet")
    .slice(10)
    .sort((one, other) => one - other);
  expect(felt.length).toBeGreaterThan(40);
  // Idle it takes 2 ms; 2,000 ms of the other's are waiting all the time.
  expect(felt.at(-1)).toBeLessThanOrEqual(10);
  expect(queue.waiting).toBeGreaterThan(900);
});

test("alone, a tenant is not held back, also when another has gone", () => {
  const { ask, step, most, queue, pass } = scene(1);
  for (let n = 0; n < 500; n++) ask("loud");
  expect(most()).toBe(500);
  ask("quiet");
  while (step() !== undefined);
  pass(11_000);
  for (let n = 0; n < 700; n++) ask("loud");
  expect(most()).toBe(700);
  expect(queue.waiting).toBe(0);
});

test("waiting tenants are served in turn, each in its own order", async () => {
  const { ask, step } = scene(1);
  for (const name of ["a", "b", "c"]) for (let n = 0; n < 30; n++) ask(name);
  const order = Array.from({ length: 89 }, () => step());
  // After the first ones, which began while only one was there.
  const later = order.slice(45);
  for (let at = 0; at + 6 < later.length; at += 6) {
    expect(new Set(later.slice(at, at + 6)).size).toBeGreaterThan(1);
  }
});

test("I11: what waits of one tenant is bounded, and another is taken", () => {
  const { ask } = scene(1);
  ask("quiet");
  expect(() => {
    for (let n = 0; n < 1_100; n++) ask("loud");
  }).toThrow("Too much of this tenant waits");
  expect(() => ask("third")).not.toThrow();
});

test("what fails gives its place back", async () => {
  const queue = new FairQueue({ now: () => 0 }, 10);
  const failing = queue.run("a", () => Promise.reject(new Error("no")));
  await expect(failing).rejects.toThrow("no");
  expect(await queue.run("a", async () => 1)).toBe(1);
});
