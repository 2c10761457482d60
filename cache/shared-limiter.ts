/**
 * Limits in Redis while it answers, in this process while it does not. Redis gone, slow or without
 * our script is one warning, a metric, and nothing else: what waits for it is answered from memory in
 * its order, and nobody waits for it again until it has answered three times in a row.
 */
import { Redis } from "ioredis";
import type { Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Ask, Limiter, Verdicts } from "./limiter.ts";
import { MemoryLimiter } from "./memory-limiter.ts";
import { RedisLimiter } from "./redis-limiter.ts";

type Report = (problem: { readonly what: string; readonly error?: unknown }) => void;

export interface SharedLimiter extends Limiter {
  /** Whether Redis counts now; else this process does. */
  readonly shared: boolean;
  /** How often Redis was given up. */
  readonly falls: number;
  close(): void;
}

interface Waiting {
  readonly asks: readonly Ask[];
  readonly answer: (verdicts: Verdicts) => void;
  readonly cancel: () => void;
}

/** Probes in a row that must be answered in time before Redis counts again. */
const probes_needed = 3;
const probe_ms = 200;
/** A connection on which a probe is unanswered for so long is made anew. */
const probe_ms_max = 2_000;

/** Resolves when Redis answers, or after `limiter_connect_ms` without it. */
export async function openSharedLimiter(
  url: string,
  parts: { readonly clock: Clock; readonly report: Report },
): Promise<SharedLimiter> {
  const redis = new Redis(url, {
    ...{ lazyConnect: true, enableOfflineQueue: false, autoResendUnfulfilledCommands: false },
    ...{ maxRetriesPerRequest: 0, connectTimeout: limits.limiter_connect_ms },
    ...{ connectionName: "colloquy-limits", retryStrategy: () => probe_ms },
  });
  const limiter = new Falling(redis, parts);
  await limiter.open();
  return limiter;
}

class Falling implements SharedLimiter {
  readonly #redis: Redis;
  readonly #remote: RedisLimiter;
  readonly #local: MemoryLimiter;
  readonly #clock: Clock;
  readonly #report: Report;
  /** What Redis was asked and has not answered, oldest first. */
  readonly #waiting = new Set<Waiting>();
  #shared = false;
  #warned = false;
  #falls = 0;
  #answered = 0;
  #lastError: unknown = undefined;
  #cancelProbe = (): void => undefined;
  #closed = false;

  constructor(redis: Redis, { clock, report }: { clock: Clock; report: Report }) {
    this.#redis = redis;
    this.#remote = new RedisLimiter(redis);
    this.#local = new MemoryLimiter(() => clock.now());
    this.#clock = clock;
    this.#report = report;
    // Without a listener the client would write to stderr by itself.
    redis.on("error", (error) => {
      this.#lastError = error;
    });
    redis.on("close", () => this.#fall(this.#lastError ?? new Error("the connection was closed")));
  }

  get shared(): boolean {
    return this.#shared;
  }
  get falls(): number {
    return this.#falls;
  }

  async open(): Promise<void> {
    try {
      await this.#within(limits.limiter_connect_ms, this.#connected());
      this.#shared = true;
    } catch (error) {
      this.#fall(this.#lastError ?? error);
      this.#probeLater();
    }
  }

  take(asks: readonly Ask[]): Verdicts | Promise<Verdicts> {
    if (!this.#shared) return this.#local.take(asks);
    return new Promise((resolve) => {
      const slow = (): void => {
        // A loop that stood still fires timers before it reads what has come long ago.
        setImmediate(() => {
          if (this.#waiting.has(waiting)) this.#fall(new Error("it takes too long to answer"));
        });
      };
      const cancel = this.#clock.after(limits.limiter_answer_ms, slow);
      const waiting: Waiting = { asks, answer: resolve, cancel };
      this.#waiting.add(waiting);
      this.#remote.take(asks).then(
        (verdicts) => this.#settle(waiting, verdicts),
        (error: unknown) => this.#fall(error),
      );
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancelProbe();
    this.#fall(null);
    this.#redis.disconnect();
  }

  #settle(waiting: Waiting, verdicts: Verdicts): void {
    if (!this.#waiting.delete(waiting)) return;
    waiting.cancel();
    waiting.answer(verdicts);
  }

  /** From here on this process counts, beginning with what waits. */
  #fall(error: unknown): void {
    const fell = this.#shared;
    this.#shared = false;
    for (const waiting of this.#waiting) this.#settle(waiting, this.#local.take(waiting.asks));
    if (this.#closed) return;
    if (!this.#warned) {
      this.#warned = true;
      this.#falls++;
      const what = "Redis does not answer; until it does, each process counts its limits alone";
      this.#report({ what, error });
    }
    if (fell) this.#probeLater();
  }

  #probeLater(): void {
    this.#cancelProbe();
    this.#answered = 0;
    const later = (): void => {
      this.#cancelProbe = this.#clock.after(probe_ms, () => void probe());
    };
    const probe = async (): Promise<void> => {
      const began = this.#clock.now();
      try {
        await this.#within(probe_ms_max, this.#connected());
        const quick = this.#clock.now() - began <= limits.limiter_answer_ms;
        this.#answered = quick ? this.#answered + 1 : 0;
      } catch {
        this.#answered = 0;
        // One that neither answers nor breaks is made anew; one that is being made goes on.
        if (this.#redis.status === "ready") this.#redis.disconnect(true);
      }
      if (this.#closed) return;
      if (this.#answered < probes_needed) return later();
      this.#shared = true;
      this.#warned = false;
    };
    later();
  }

  /** Resolves when the server has answered and has our script. */
  async #connected(): Promise<void> {
    if (this.#redis.status === "wait" || this.#redis.status === "end") await this.#redis.connect();
    await this.#remote.prepare();
  }

  #within<T>(ms: number, work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(ms, () => reject(new Error("it takes too long to answer")));
      void work.then(resolve, reject).finally(cancel);
    });
  }
}
