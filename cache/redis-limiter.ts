/**
 * Limits that all processes share, in Redis. One take is one call of one script; answers come in the
 * order of the takes, since one connection carries them. It never waits for a connection: who is not
 * connected throws at once (shared-limiter.ts falls back).
 */
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import type { Ask, Limiter, Verdict, Verdicts } from "./limiter.ts";
import { take_script } from "./take-script.ts";

const sha = createHash("sha1").update(take_script).digest("hex");

/** What stands before every key, so that a Redis can be shared with other programs. */
const prefix = "colloquy:";

export class RedisLimiter implements Limiter {
  readonly #redis: Redis;
  readonly #now: () => number;

  /** `now`: instead of the server's clock, for tests that step it. */
  constructor(redis: Redis, now: () => number = () => 0) {
    this.#redis = redis;
    this.#now = now;
  }

  /** Brings the script to the server; a server that was started anew has lost it. */
  async prepare(): Promise<void> {
    await this.#redis.script("LOAD", take_script);
  }

  async take(asks: readonly Ask[]): Promise<Verdicts> {
    const keys = asks.map(({ key }) => prefix + key);
    const rules = asks.flatMap(({ rule, cost = 1 }) => [
      ...[rule.kind, rule.limit, rule.period_ms, cost],
    ]);
    const answer: unknown = await this.#redis.evalsha(
      ...([sha, keys.length, ...keys, this.#now(), ...rules] as const),
    );
    return asks.map((_, index) => verdictOf(answer, index));
  }
}

function verdictOf(answer: unknown, index: number): Verdict {
  const [allowed, remaining, retry_ms, more_ms] = Array.isArray(answer)
    ? answer.slice(index * 4, index * 4 + 4).map(Number)
    : [];
  if (remaining === undefined || retry_ms === undefined || more_ms === undefined) {
    throw new TypeError("Redis answered something else than the script gives.");
  }
  return { allowed: allowed === 1, remaining, retry_ms, more_ms };
}
