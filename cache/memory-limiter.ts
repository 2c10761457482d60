/**
 * Limits that this process keeps by itself: exact, at once, and for this process alone. Bounded in
 * keys and in what windows remember (I11): past that the key that was used longest ago is forgotten,
 * which only ever lets somebody do more.
 */
import { limits } from "../schemas/limits.ts";
import { type Ask, hair_ms, type Limiter, type Verdict, type Verdicts } from "./limiter.ts";

/** What was taken of one window: the times, oldest first, from `head` on. */
interface Window {
  times: number[];
  head: number;
}
/** Of a bucket only the time at which it is full again. */
type Kept = Window | number;

interface Looked {
  readonly verdict: Verdict;
  /** Takes; gives what is left and when there is more. */
  take(): Pick<Verdict, "remaining" | "more_ms">;
}

export class MemoryLimiter implements Limiter {
  readonly #now: () => number;
  readonly #keys_max: number;
  readonly #times_max: number;
  /** The least recently used first. */
  readonly #kept = new Map<string, Kept>();
  /** Times that all windows remember. */
  #times = 0;

  constructor(
    now: () => number,
    keys_max: number = limits.limiter_keys_max,
    times_max: number = limits.limiter_times_max,
  ) {
    this.#now = now;
    this.#keys_max = keys_max;
    this.#times_max = times_max;
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#kept.size;
  }

  take(asks: readonly Ask[]): Verdicts {
    const now = this.#now();
    const looked = asks.map((ask) => this.#look(ask, now));
    const refused = looked.some(({ verdict }) => !verdict.allowed);
    const verdicts = looked.map(({ verdict, take }) =>
      refused ? verdict : { ...verdict, ...take() },
    );
    this.#bound();
    return verdicts;
  }

  /** What this limit would say; takes nothing. */
  look(ask: Ask): Verdict {
    return this.#look(ask, this.#now()).verdict;
  }

  #look(ask: Ask, now: number): Looked {
    const kept = this.#kept.get(ask.key);
    this.#kept.delete(ask.key);
    return ask.rule.kind === "bucket"
      ? this.#lookAtBucket(ask, typeof kept === "number" ? kept : now, now)
      : this.#lookAtWindow(ask, typeof kept === "object" ? kept : { times: [], head: 0 }, now);
  }

  #lookAtBucket({ key, rule, cost = 1 }: Ask, full_ms: number, now: number): Looked {
    const each_ms = rule.period_ms / rule.limit;
    // A clock that went back refills nothing twice, and never makes more than empty.
    const owed = Math.min(Math.max(full_ms - now, 0), rule.period_ms);
    const after = owed + cost * each_ms;
    const wait = after - rule.period_ms;
    const shown = (lacking: number): Pick<Verdict, "remaining" | "more_ms"> => {
      const remaining = Math.floor((rule.period_ms - lacking) / each_ms + hair_ms);
      const more = lacking - (rule.limit - remaining - 1) * each_ms;
      return { remaining, more_ms: lacking <= hair_ms ? 0 : Math.ceil(more - hair_ms) };
    };
    if (owed > 0) this.#kept.set(key, now + owed);
    const allowed = wait <= hair_ms;
    return {
      verdict: { allowed, retry_ms: allowed ? 0 : Math.ceil(wait - hair_ms), ...shown(owed) },
      take: () => {
        this.#kept.set(key, now + after);
        return shown(after);
      },
    };
  }

  #lookAtWindow({ key, rule, cost = 1 }: Ask, window: Window, clock: number): Looked {
    const { times } = window;
    // A clock that went back counts as one that stands.
    const now = Math.max(clock, times.at(-1) ?? clock);
    const before = window.head;
    while ((times[window.head] ?? now) <= now - rule.period_ms) window.head++;
    this.#times -= window.head - before;
    if (window.head > 64 && window.head * 2 > times.length) {
      times.splice(0, window.head);
      window.head = 0;
    }
    const counted = times.length - window.head;
    const until = (index: number): number =>
      (times[window.head + index] ?? now) + rule.period_ms - now;
    const shown = (): Pick<Verdict, "remaining" | "more_ms"> => {
      const taken = times.length - window.head;
      // Of a limit that was lowered more may be counted than is allowed.
      const first = Math.max(0, taken - rule.limit);
      return {
        remaining: Math.max(0, rule.limit - taken),
        more_ms: taken === 0 ? 0 : until(first),
      };
    };
    if (counted > 0) this.#kept.set(key, window);
    const allowed = counted + cost <= rule.limit;
    const retry_ms = allowed ? 0 : until(counted + cost - rule.limit - 1);
    return {
      verdict: { allowed, retry_ms, ...shown() },
      take: () => {
        for (let n = 0; n < cost; n++) times.push(now);
        this.#times += cost;
        this.#kept.set(key, window);
        return shown();
      },
    };
  }

  #bound(): void {
    for (const [key, kept] of this.#kept) {
      if (this.#kept.size <= this.#keys_max && this.#times <= this.#times_max) return;
      this.#kept.delete(key);
      if (typeof kept === "object") this.#times -= kept.times.length - kept.head;
    }
  }
}
