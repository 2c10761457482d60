/** A real Redis that is killed, stopped, emptied and started again under a limiter that goes on. */
import { Redis } from "ioredis";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Ask } from "../../cache/limiter.ts";
import { openSharedLimiter, type SharedLimiter } from "../../cache/shared-limiter.ts";
import { systemClock } from "../../schemas/ids.ts";
import { freePort, redisBinary, type Running, startRedis } from "../support/services.ts";

const ask: Ask = {
  key: "acme:commands:ann",
  rule: { kind: "window", limit: 5, period_ms: 3_600_000 },
};
const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const open = async (url: string): Promise<{ limiter: SharedLimiter; warnings: string[] }> => {
  const warnings: string[] = [];
  const report = ({ what }: { what: string }): void => void warnings.push(what);
  const limiter = await openSharedLimiter(url, { clock: systemClock, report });
  ends.push(() => limiter.close());
  return { limiter, warnings };
};
const start = async (port?: number): Promise<Running> => {
  const server = await startRedis(port);
  ends.push(() => server.stop());
  return server;
};
/** How many of so many takes are allowed. */
const allowed = async (limiter: SharedLimiter, takes: number): Promise<number> => {
  const all = await Promise.all(Array.from({ length: takes }, async () => limiter.take([ask])));
  return all.filter(([verdict]) => verdict?.allowed).length;
};

describe.skipIf(redisBinary() === null)("limits in a Redis", () => {
  let server: Running;
  beforeEach(async () => {
    server = await start();
  });

  test("that is killed: this process counts, with one warning, until it is there again", async () => {
    const first = await open(server.url);
    const second = await open(server.url);
    expect(await allowed(first.limiter, 3)).toBe(3);
    expect(await allowed(second.limiter, 3)).toBe(2);
    await server.kill9();
    await expect.poll(() => first.limiter.shared || second.limiter.shared).toBe(false);
    // Each by itself, and at once: nothing is promised.
    expect(first.limiter.take([ask])).toMatchObject([{ allowed: true, remaining: 4 }]);
    expect(await allowed(first.limiter, 10)).toBe(4);
    expect(await allowed(second.limiter, 10)).toBe(5);
    await start(server.port);
    await expect.poll(() => first.limiter.shared && second.limiter.shared).toBe(true);
    expect((await allowed(first.limiter, 5)) + (await allowed(second.limiter, 5))).toBe(5);
    expect(first.warnings).toHaveLength(1);
    expect(second.warnings).toHaveLength(1);
    expect(first.limiter.falls).toBe(1);
  });

  test("that stands still: nobody waits longer than the time-out, and answers keep their order", async () => {
    const { limiter, warnings } = await open(server.url);
    process.kill(server.pid, "SIGSTOP");
    const order: number[] = [];
    const takes = Array.from({ length: 8 }, async (_, n) => {
      const [verdict] = await limiter.take([ask]);
      order.push(n);
      return verdict?.allowed;
    });
    expect(await Promise.all(takes)).toEqual(Array.from({ length: 8 }, (_, n) => n < 5));
    expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    // One time-out for all of them.
    expect(limiter.falls).toBe(1);
    expect(limiter.shared).toBe(false);
    process.kill(server.pid, "SIGCONT");
    await expect.poll(() => limiter.shared).toBe(true);
    expect(warnings).toHaveLength(1);
  });

  test("that is emptied or loses the script: counts begin anew, nothing fails", async () => {
    const { limiter } = await open(server.url);
    const redis = new Redis(server.url);
    ends.push(() => redis.disconnect());
    expect(await allowed(limiter, 6)).toBe(5);
    await redis.flushall();
    expect(await allowed(limiter, 6)).toBe(5);
    await redis.script("FLUSH");
    // The first that misses it is answered by this process, which brings it back.
    expect(await allowed(limiter, 6)).toBe(5);
    await expect.poll(() => limiter.shared).toBe(true);
    expect(await allowed(limiter, 1)).toBe(0);
  });
});

test.skipIf(redisBinary() === null)(
  "a Redis that is not there at the start is taken when it comes",
  async () => {
    const port = await freePort();
    const { limiter, warnings } = await open(`redis://127.0.0.1:${port}`);
    expect(limiter.shared).toBe(false);
    expect(await allowed(limiter, 6)).toBe(5);
    await start(port);
    await expect.poll(() => limiter.shared).toBe(true);
    expect(warnings).toHaveLength(1);
  },
);
