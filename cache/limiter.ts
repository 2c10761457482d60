/**
 * The port of rate limits: who asks takes from every limit that applies to it at once, or from none.
 * Two adapters keep it, Redis for all processes (redis-limiter.ts) and this process alone
 * (memory-limiter.ts); one contract suite holds both to it. Keys begin with the tenant (I10), and
 * what is kept of one is bounded by its own limit and gone when it counts no more (I11).
 */

/**
 * `window`: at most `limit` in any stretch of `period_ms`, exactly (a true sliding window, not two
 * weighted ones). `bucket`: a burst of `limit`, refilled evenly within `period_ms`; one number a key,
 * so it is the one for high limits.
 */
export interface Rule {
  readonly kind: "window" | "bucket";
  /** At least 1. */
  readonly limit: number;
  readonly period_ms: number;
}

export interface Ask {
  /** `<tenant>:…`; of one kind of rule for ever. No two asks of one take share a key. */
  readonly key: string;
  readonly rule: Rule;
  /** How much is taken: a whole number from 1 to the rule's limit; 1 when absent. */
  readonly cost?: number;
}

/** What one limit says. */
export interface Verdict {
  readonly allowed: boolean;
  /** What is left, after the take when all limits allowed it. */
  readonly remaining: number;
  /** Milliseconds until the same ask can be allowed; 0 when it is. */
  readonly retry_ms: number;
  /** Milliseconds until more than `remaining` is left; 0 when all is. */
  readonly more_ms: number;
}

export type Verdicts = readonly Verdict[];

export interface Limiter {
  /**
   * Takes from all or, when one refuses, from none; verdicts in the order of the asks. Answers come
   * in the order of the takes. In this process it answers at once. Throws when the store cannot.
   */
  take(asks: readonly Ask[]): Verdicts | Promise<Verdicts>;
}

/** A sum of doubles may miss a whole millisecond by this little. */
export const hair_ms = 1e-6;
