/**
 * Simulated time: one thing happens at a time, the earliest first, and everything that follows from
 * it without waiting (microtasks) is done before the next. What belongs to a process does not happen
 * once that is dead, and happens late when it is stopped for a while.
 */
import type { Clock } from "../../schemas/ids.ts";

/** A process. */
export interface Life {
  readonly name: string;
  alive: boolean;
  /** Until when it stands still (SIGSTOP). */
  paused_until_ms: number;
}

export interface Schedule {
  now(): number;
  /** `run` happens after `ms`, in a process or (null) in the world; the result takes it back. */
  after(ms: number, life: Life | null, what: string, run: () => void): () => void;
  /** The clock of a process. */
  clockOf(life: Life): Clock;
  /** Lets the next thing happen; false when nothing will. */
  next(): Promise<boolean>;
  /** Things that have happened. */
  readonly count: number;
}

interface Due {
  at_ms: number;
  readonly order: number;
  readonly life: Life | null;
  readonly what: string;
  readonly run: () => void;
  over: boolean;
}

export function createSchedule(trace: (line: string) => void): Schedule {
  const heap: Due[] = [];
  let now_ms = 0;
  let made = 0;
  let count = 0;

  const before = (one: Due, other: Due): boolean =>
    one.at_ms < other.at_ms || (one.at_ms === other.at_ms && one.order < other.order);
  const swap = (one: number, other: number): void => {
    const held = heap[one];
    const there = heap[other];
    if (held === undefined || there === undefined) return;
    heap[one] = there;
    heap[other] = held;
  };
  const less = (one: number, other: number): boolean => {
    const [a, b] = [heap[one], heap[other]];
    return a !== undefined && b !== undefined && before(a, b);
  };
  const push = (due: Due): void => {
    heap.push(due);
    for (let at = heap.length - 1; at > 0;) {
      const parent = (at - 1) >> 1;
      if (!less(at, parent)) break;
      swap(at, parent);
      at = parent;
    }
  };
  const pop = (): Due | undefined => {
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || first === last) return first;
    heap[0] = last;
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (less(left, least)) least = left;
      if (less(right, least)) least = right;
      if (least === at) return first;
      swap(at, least);
      at = least;
    }
  };

  const after: Schedule["after"] = (ms, life, what, run) => {
    const due = { at_ms: now_ms + Math.max(0, ms), order: ++made, life, what, run, over: false };
    push(due);
    return () => {
      due.over = true;
    };
  };
  return {
    now: () => now_ms,
    after,
    clockOf: (life) => ({
      now: () => now_ms,
      after: (ms, call) => after(ms, life, "timer", call),
    }),
    async next() {
      for (let due = pop(); due !== undefined; due = pop()) {
        const { life } = due;
        if (due.over || life?.alive === false) continue;
        now_ms = Math.max(now_ms, due.at_ms);
        if (life !== null && life.paused_until_ms > now_ms) {
          due.at_ms = life.paused_until_ms;
          push(due);
          continue;
        }
        count += 1;
        if (due.what !== "timer") trace(`${now_ms} ${life?.name ?? "-"} ${due.what}`);
        due.run();
        // Comes after every microtask, however many follow from one another.
        await new Promise<void>((resolve) => setImmediate(resolve));
        return true;
      }
      return false;
    },
    get count() {
      return count;
    },
  };
}
