/** A tenant's work never stands behind all of another's. */
import { expect, test } from "vitest";
import { FairQueue } from "../../cache/fair-queue.ts";
import type { AppError } from "../../schemas/errors.ts";

/** A clock that is moved by hand. */
function handClock() {
  let now_ms = 0;
  const alarms = new Set<{ readonly at_ms: number; readonly call: () => void }>();
  return {
    now: () => now_ms,
    after(ms: number, call: () => void) {
      const alarm = { at_ms: now_ms + ms, call };
      alarms.add(alarm);
      return () => void alarms.delete(alarm);
    },
    pass(ms: number): void {
      const until_ms = now_ms + ms;
      for (;;) {
        const [next] = [...alarms]
          .filter(({ at_ms }) => at_ms <= until_ms)
          .sort((one, other) => one.at_ms - other.at_ms);
        if (next === undefined) break;
        alarms.delete(next);
        now_ms = Math.max(now_ms, next.at_ms);
        next.call();
      }
      now_ms = until_ms;
    },
  };
}

/**
 * A server that does one piece of a millisecond at a time, in its order. Each of `kinds` of work in
 * turn: so many pieces until it is answered, and so many behind that.
 */
function busyServer(kinds: readonly { readonly answer: number; readonly behind: number }[]) {
  const clock = handClock();
  const queue = new FairQueue(clock, 1_000);
  const todo: (() => void)[] = [];
  let working = false;
  let worked_ms = 0;
  const work = (): void => {
    const next = todo.shift();
    working = next !== undefined;
    if (next === undefined) return;
    worked_ms++;
    clock.after(1, () => {
      next();
      work();
    });
  };
  const serve = (done: () => void): void => {
    todo.push(done);
    if (!working) work();
  };
  let asked = 0;
  const ask = (name: string, answered: () => void): void => {
    const { answer, behind } = kinds[asked++ % kinds.length] ?? { answer: 1, behind: 0 };
    queue.enter(name, (leave) => {
      const pieces = (left: number): void => {
        if (left === behind) {
          leave();
          answered();
        }
        if (left > 0) serve(() => pieces(left - 1));
      };
      pieces(answer + behind);
    });
  };
  /** Asks for one thing more whenever one is answered; the result counts them. */
  const loudly = (name: string, at_once: number): (() => number) => {
    let answered = -at_once;
    const again = (): void => {
      answered++;
      ask(name, again);
    };
    for (let n = 0; n < at_once; n++) again();
    return () => answered;
  };
  return { clock, ask, loudly, worked_ms: () => worked_ms };
}

/** A server that does one thing at a time, in its order, `each_ms` each; the clock is stepped. */
function scene(each_ms: number) {
  const clock = handClock();
  const server: { name: string; leave: () => void }[] = [];
  const queue = new FairQueue(clock, 1_000);
  const waits = new Map<string, number[]>();
  let most = 0;
  const ask = (name: string): void => {
    const began = clock.now();
    queue.enter(name, (leave) => {
      server.push({
        name,
        leave() {
          waits.set(name, [...(waits.get(name) ?? []), clock.now() - began]);
          leave();
        },
      });
      most = Math.max(most, server.length);
    });
  };
  const step = (): string | undefined => {
    clock.pass(each_ms);
    const done = server.shift();
    done?.leave();
    return done?.name;
  };
  return {
    queue,
    ask,
    waits: (name: string) => waits.get(name) ?? [],
    most: () => most,
    /** The server does the next thing, or has rested as long. */
    step,
    /** It has done the next thing. */
    done(): string {
      for (;;) {
        const name = step();
        if (name !== undefined) return name;
      }
    },
    pass: clock.pass,
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
  expect(felt.at(-1)).toBeLessThanOrEqual(6);
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
  const { ask, done } = scene(1);
  for (const name of ["a", "b", "c"]) for (let n = 0; n < 30; n++) ask(name);
  const order = Array.from({ length: 89 }, () => done());
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
  const queue = new FairQueue(handClock(), 10);
  const failing = queue.run("a", () => Promise.reject(new Error("no")), 1_000);
  await expect(failing).rejects.toThrow("no");
  expect(await queue.run("a", async () => 1, 1_000)).toBe(1);
});

test("I10: a server that works on behind its answers is not kept busy by one tenant alone", () => {
  const { clock, ask, loudly, worked_ms } = busyServer([{ answer: 4, behind: 6 }]);
  const felt: number[] = [];
  const quiet = (): void => {
    const began_ms = clock.now();
    ask("quiet", () => felt.push(clock.now() - began_ms));
    clock.after(97, quiet);
  };
  quiet();
  clock.pass(2_000);
  expect(new Set(felt.splice(0))).toEqual(new Set([4]));
  const answered = loudly("loud", 200);
  clock.pass(5_000);
  felt.splice(0);
  const before = { worked_ms: worked_ms(), answered: answered() };
  clock.pass(60_000);
  felt.sort((one, other) => one - other);
  // 25 when it is never left to rest, though only one of the loud one's is answered at a time.
  expect(felt[Math.floor(felt.length * 0.95)]).toBeLessThanOrEqual(12);
  // 90 a second is all that it can do beside the quiet one's ten.
  expect((answered() - before.answered) / 60).toBeGreaterThan(60);
  expect((worked_ms() - before.worked_ms) / 60_000).toBeLessThan(0.95);
});

test("where every tenant asks for too much nobody is paced, and each has as much of it", () => {
  // Slower beside each other than alone, however little is handed on: so it would rest.
  const kinds = [
    { answer: 1, behind: 8 },
    { answer: 6, behind: 2 },
  ];
  const { clock, loudly, worked_ms } = busyServer(kinds);
  const counts = ["one", "two", "three"].map((name) => loudly(name, 200));
  clock.pass(5_000);
  const before = { worked_ms: worked_ms(), answered: counts.map((count) => count()) };
  clock.pass(60_000);
  const answered = counts.map((count, at) => count() - (before.answered[at] ?? 0));
  // Looking for calm takes its time; with rests it is 0.44.
  expect((worked_ms() - before.worked_ms) / 60_000).toBeGreaterThan(0.95);
  expect(Math.max(...answered) - Math.min(...answered)).toBeLessThan(50);
});

test("I10: what waits too long for its tenant's turn is refused by name, and is never begun", async () => {
  const clock = handClock();
  const queue = new FairQueue(clock, 10);
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const run = (name: string, what: string): Promise<string> =>
    queue
      .run(name, () => (begun.push(what), new Promise<void>((end) => ends.push(end))), 200)
      .then(String, (error: unknown) => (error as AppError).code);
  const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  void run("quiet", "first");
  for (let n = 0; n < 7; n++) void run("loud", "at once");
  const waits = run("loud", "too late");
  expect(queue.waiting).toBe(1);
  clock.pass(199);
  expect(queue.waiting).toBe(1);
  const next = run("loud", "in time");
  clock.pass(1);
  expect(await waits).toBe("tenant_busy");
  expect(queue.waiting).toBe(1);
  ends[0]?.();
  await settled();
  clock.pass(190);
  await settled();
  expect(begun).toEqual(["first", ...Array.from({ length: 7 }, () => "at once"), "in time"]);
  ends.at(-1)?.();
  expect(await next).toBe("undefined");
});

test("I10: what never ends holds up what waits for a moment, not for its own time", () => {
  const clock = handClock();
  const queue = new FairQueue(clock, 1_000);
  queue.enter("quiet", () => undefined);
  let begun = 0;
  for (let n = 0; n < 100; n++) queue.enter("loud", () => begun++);
  for (let n = 0; n < 100; n++) queue.enter("other", () => begun++);
  const before = begun;
  clock.pass(5_000);
  expect(begun - before).toBeGreaterThanOrEqual(19);
  expect(begun - before).toBeLessThanOrEqual(21);
});

test("I10: what a tenant had under way while it was alone is not taken for calm", () => {
  const { ask, step, waits, pass } = scene(2);
  for (let n = 0; n < 300; n++) ask("loud");
  for (let round = 0; round < 300; round++) {
    ask("quiet");
    for (let n = 0; n < 10; n++) {
      if (step() === "loud") ask("loud");
    }
    pass(5);
  }
  // The first stand behind all 300, and behind one another; then it is as if there had been nothing.
  const felt = waits("quiet").slice(60);
  expect(felt.length).toBeGreaterThan(200);
  expect(Math.max(...felt)).toBeLessThanOrEqual(8);
});
