/** A clock that stands still until it is moved. */
import type { Clock } from "../../schemas/ids.ts";

export interface SteppedClock extends Clock {
  /** Moves it, and calls what is due on the way, each at its own time. */
  step(ms: number): void;
  /** Moves it to the next thing that is due; false when nothing is. */
  next(): boolean;
}

export function steppedClock(): SteppedClock {
  let now_ms = 0;
  let made = 0;
  const timers = new Map<number, { readonly at_ms: number; readonly call: () => void }>();
  const due = (): [number, { at_ms: number; call: () => void }] | undefined =>
    [...timers].sort(([a, one], [b, other]) => one.at_ms - other.at_ms || a - b)[0];
  const fire = (until_ms: number): boolean => {
    const first = due();
    if (first === undefined || first[1].at_ms > until_ms) return false;
    timers.delete(first[0]);
    now_ms = Math.max(now_ms, first[1].at_ms);
    first[1].call();
    return true;
  };
  return {
    now: () => now_ms,
    after(ms, call) {
      const id = ++made;
      timers.set(id, { at_ms: now_ms + ms, call });
      return () => timers.delete(id);
    },
    step(ms) {
      const until_ms = now_ms + ms;
      while (fire(until_ms));
      now_ms = until_ms;
    },
    next: () => fire(Number.POSITIVE_INFINITY),
  };
}
