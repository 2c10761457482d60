/** One contract for every limiter: in this process and in a real Redis, against a model of a few lines. */
import fc from "fast-check";
import { Redis } from "ioredis";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Ask, Limiter, Rule } from "../../cache/limiter.ts";
import { MemoryLimiter } from "../../cache/memory-limiter.ts";
import { RedisLimiter } from "../../cache/redis-limiter.ts";
import { redisBinary, type Running, startRedis } from "../support/services.ts";

const window = (limit: number, period_ms = 60_000): Rule => ({ kind: "window", limit, period_ms });
const bucket = (limit: number, period_ms = 60_000): Rule => ({ kind: "bucket", limit, period_ms });

let server: Running | null = null;
let redis: Redis | null = null;
beforeAll(async () => {
  if (redisBinary() === null) return;
  server = await startRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});

/** Stepped by the tests, for both. */
let now = 0;
beforeEach(async () => {
  now = 1_700_000_000_000;
  await redis?.flushall();
});
const clock = (): number => now;

const kinds: { name: string; missing: boolean; open: () => Promise<Limiter> }[] = [
  { name: "this process", missing: false, open: async () => new MemoryLimiter(clock) },
  {
    name: "Redis",
    missing: redisBinary() === null,
    async open() {
      if (redis === null) throw new Error("no Redis");
      const limiter = new RedisLimiter(redis, clock);
      await limiter.prepare();
      return limiter;
    },
  },
];

describe.each(kinds)("limits in $name", ({ missing, open }) => {
  const one = async (limiter: Limiter, ask: Ask) => {
    const [verdict] = await limiter.take([ask]);
    if (verdict === undefined) throw new Error("a verdict for each ask");
    return verdict;
  };

  test.skipIf(missing)(
    "request 101 in 60 s is refused, and told exactly when to come",
    async () => {
      const limiter = await open();
      const ask = { key: "acme:commands:ann", rule: window(100) };
      for (let n = 1; n <= 100; n++) {
        expect(await one(limiter, ask)).toMatchObject({ allowed: true, remaining: 100 - n });
        now += 100;
      }
      // The first was 10 s ago.
      const refused = { allowed: false, remaining: 0, retry_ms: 50_000, more_ms: 50_000 };
      expect(await one(limiter, ask)).toEqual(refused);
      now += 49_999;
      expect((await one(limiter, ask)).allowed).toBe(false);
      now += 1;
      expect(await one(limiter, ask)).toMatchObject({ allowed: true, remaining: 0, more_ms: 100 });
      expect(await one(limiter, ask)).toMatchObject({ allowed: false, retry_ms: 100 });
      now += 60_000;
      expect(await one(limiter, ask)).toMatchObject({ allowed: true, remaining: 99 });
    },
  );

  test.skipIf(missing)(
    "a bucket gives a burst of its size, then refills at the set rate",
    async () => {
      const limiter = await open();
      const ask = { key: "acme:sign-in:ann", rule: bucket(30, 600_000) };
      for (let n = 1; n <= 30; n++) {
        expect(await one(limiter, ask)).toMatchObject({ allowed: true, remaining: 30 - n });
      }
      expect(await one(limiter, ask)).toMatchObject({ allowed: false, retry_ms: 20_000 });
      now += 19_999;
      expect(await one(limiter, ask)).toMatchObject({ allowed: false, retry_ms: 1 });
      now += 1;
      expect(await one(limiter, ask)).toMatchObject({ allowed: true, remaining: 0 });
      now += 100_000;
      expect(await one(limiter, { ...ask, cost: 5 })).toMatchObject({
        allowed: true,
        remaining: 0,
      });
      expect(await one(limiter, { ...ask, cost: 3 })).toMatchObject({ retry_ms: 60_000 });
      now += 3_600_000;
      expect(await one(limiter, ask)).toMatchObject({ remaining: 29, more_ms: 20_000 });
    },
  );

  test.skipIf(missing)("what one limit refuses is taken from none", async () => {
    const limiter = await open();
    const user = { key: "acme:commands:ann", rule: window(5) };
    const tenant = { key: "acme:commands", rule: bucket(2) };
    const take = async () => (await limiter.take([user, tenant])).map(({ allowed }) => allowed);
    expect(await take()).toEqual([true, true]);
    expect(await take()).toEqual([true, true]);
    for (let n = 0; n < 10; n++) expect(await take()).toEqual([true, false]);
    expect(await one(limiter, user)).toMatchObject({ allowed: true, remaining: 2 });
  });

  test.skipIf(missing)("I10: what one tenant takes, another has", async () => {
    const limiter = await open();
    const ask = (tenant: string): Ask => ({ key: `${tenant}:commands:ann`, rule: window(1) });
    expect((await one(limiter, ask("acme"))).allowed).toBe(true);
    expect((await one(limiter, ask("acme"))).allowed).toBe(false);
    expect((await one(limiter, ask("other"))).allowed).toBe(true);
  });

  test.skipIf(missing)(
    "a clock that goes back frees nothing, and a lower limit counts at once",
    async () => {
      const limiter = await open();
      const [a, b] = ["acme:a", "acme:b"];
      for (let n = 0; n < 4; n++) await limiter.take([{ key: a, rule: window(4) }]);
      for (let n = 0; n < 4; n++) await limiter.take([{ key: b, rule: bucket(4) }]);
      now -= 3_600_000;
      expect(await one(limiter, { key: a, rule: window(4) })).toMatchObject({ retry_ms: 60_000 });
      expect((await one(limiter, { key: b, rule: bucket(4) })).allowed).toBe(false);
      expect(await one(limiter, { key: a, rule: window(2) })).toMatchObject({ remaining: 0 });
      expect((await one(limiter, { key: a, rule: window(5) })).allowed).toBe(true);
    },
  );

  test.skipIf(missing)("asked at once by many, exactly as many are allowed", async () => {
    const limiter = await open();
    const ask = { key: "acme:race", rule: window(100) };
    const all = await Promise.all(Array.from({ length: 300 }, () => one(limiter, ask)));
    expect(all.map(({ allowed }) => allowed)).toEqual(all.map((_, n) => n < 100));
  });

  test.skipIf(missing)("any mix of times, costs and limits does what the model does", async () => {
    // Far longer than a run: Redis forgets by its own clock, however little is stepped here.
    const [short, long] = [100_000, 1_000_000];
    const rules = [window(3, short), window(7, long), bucket(4, short), bucket(8, long)];
    const step = fc.record({
      wait: fc.oneof(fc.integer({ min: 0, max: 40_000 }), fc.integer({ min: 0, max: 1_500_000 })),
      asks: fc.uniqueArray(
        fc.record({ rule: fc.nat({ max: 3 }), cost: fc.integer({ min: 1, max: 3 }) }),
        { minLength: 1, maxLength: 4, selector: ({ rule }) => rule },
      ),
    });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const limiter = await open();
        const model = rules.map((rule) => modelOf(rule));
        run++;
        for (const { wait, asks } of steps) {
          now += wait;
          const wished = asks.map((ask) => {
            const rule = rules[ask.rule];
            const modelled = model[ask.rule];
            if (rule === undefined || modelled === undefined) throw new Error("four rules");
            return { ask: { key: `acme:${run}:${ask.rule}`, rule, cost: ask.cost }, modelled };
          });
          const verdicts = await limiter.take(wished.map(({ ask }) => ask));
          const expected = wished.map(({ ask, modelled }) => modelled.wait_ms(now, ask.cost));
          expect(verdicts.map(({ retry_ms }) => retry_ms)).toEqual(expected);
          expect(verdicts.map(({ allowed }) => allowed)).toEqual(expected.map((ms) => ms === 0));
          if (expected.every((ms) => ms === 0)) {
            for (const { ask, modelled } of wished) modelled.take(now, ask.cost);
          }
          const left = wished.map(({ modelled }) => modelled.left(now));
          expect(verdicts.map(({ remaining }) => remaining)).toEqual(left);
        }
      }),
      { numRuns: 100 },
    );
  });
});

/** The same, as one would write it who has time and memory: every take is kept and counted anew. */
function modelOf({ kind, limit, period_ms }: Rule) {
  let takes: { at: number; cost: number }[] = [];
  let tokens = limit;
  let since = 0;
  const left = (now: number): number => {
    if (kind === "bucket") {
      return Math.floor(Math.min(limit, tokens + ((now - since) * limit) / period_ms) + 1e-9);
    }
    return takes
      .filter(({ at }) => at > now - period_ms)
      .reduce((rest, { cost }) => rest - cost, limit);
  };
  return {
    left,
    wait_ms(now: number, cost: number): number {
      let [wait, enough] = [0, period_ms];
      while (wait < enough) {
        const middle = Math.floor((wait + enough) / 2);
        if (left(now + middle) < cost) wait = middle + 1;
        else enough = middle;
      }
      return wait;
    },
    take(now: number, cost: number): void {
      tokens = Math.min(limit, tokens + ((now - since) * limit) / period_ms) - cost;
      since = now;
      takes = [...takes, { at: now, cost }];
    },
  };
}

test("I11: this process remembers a bounded number of keys and times", () => {
  const limiter = new MemoryLimiter(clock, 100, 500);
  for (let n = 0; n < 1_000; n++) limiter.take([{ key: `acme:${n}`, rule: window(10) }]);
  expect(limiter.size).toBe(100);
  for (let n = 0; n < 300; n++) limiter.take([{ key: "acme:old", rule: window(300) }]);
  for (let n = 0; n < 300; n++) limiter.take([{ key: "acme:new", rule: window(300) }]);
  expect(limiter.take([{ key: "acme:new", rule: window(300) }])[0]?.allowed).toBe(false);
  // Both together are too much: the one that was used longer ago is forgotten.
  expect(limiter.take([{ key: "acme:old", rule: window(300) }])[0]?.remaining).toBe(299);
});

describe.skipIf(redisBinary() === null)("in Redis", () => {
  test("the server's clock counts, whatever the clocks of its clients say", async () => {
    if (server === null) throw new Error("no Redis");
    const clients = [new Redis(server.url), new Redis(server.url)];
    const limiters = clients.map((client) => new RedisLimiter(client));
    await limiters[0]?.prepare();
    const ask = { key: "acme:shared", rule: window(10, 3_600_000) };
    const all = await Promise.all(
      Array.from({ length: 30 }, async (_, n) => (await limiters[n % 2]?.take([ask]))?.[0]),
    );
    expect(all.filter((verdict) => verdict?.allowed)).toHaveLength(10);
    const [last] = (await limiters[0]?.take([ask])) ?? [];
    expect(last?.retry_ms).toBeGreaterThan(3_590_000);
    for (const client of clients) client.disconnect();
  });

  test("I10: I11: a key begins with its tenant, is small, and goes when it counts no more", async () => {
    if (redis === null) throw new Error("no Redis");
    const limiter = new RedisLimiter(redis, clock);
    await limiter.prepare();
    await limiter.take([{ key: "acme:w", rule: window(6_000), cost: 6_000 }]);
    await limiter.take([{ key: "acme:b", rule: bucket(6_000) }]);
    expect((await redis.keys("*")).sort()).toEqual(["colloquy:acme:b", "colloquy:acme:w"]);
    expect(await redis.memory("USAGE", "colloquy:acme:w")).toBeLessThan(80_000);
    expect(await redis.memory("USAGE", "colloquy:acme:b")).toBeLessThan(200);
    expect(await redis.pttl("colloquy:acme:w")).toBeGreaterThan(50_000);
    // A bucket that lacks one of 6,000 is full again in 10 ms.
    await expect.poll(() => redis?.exists("colloquy:acme:b")).toBe(0);
  });
});
