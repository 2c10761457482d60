/**
 * Gathers what a reader brings into batches: what is there at once, and what comes within `batch_ms`
 * after the first (`batch_busy_ms` while much comes), bounded in commits and in text. Catch-up
 * therefore runs in full batches and live traffic in small ones, with the same code.
 *
 * Where it is told what readers wait for, it gathers for longer while nobody does: then the commits of
 * a short turn are one batch, and that after its first token.
 */
import type { Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Logged } from "./lane.ts";

const none = Symbol("nothing within the time");

/** Characters of text in it, roughly: what makes a batch large in memory. */
export function weigh(logged: Logged): number {
  if ("undecodable" in logged) return 0;
  let chars = 0;
  for (const { data } of logged.events) if ("text" in data) chars += data.text.length;
  return chars;
}

/** The sequences that somebody waits to read. */
export interface Wanted {
  /** Somebody waits for this one. */
  want(sequence: number): void;
  /** The highest of them. */
  last(): number;
  /** Calls at every higher one; the result ends it. */
  changes(call: () => void): () => void;
}

export function openWanted(): Wanted {
  let last = 0;
  const calls = new Set<() => void>();
  return {
    want(sequence) {
      if (sequence <= last) return;
      last = sequence;
      for (const call of calls) call();
    },
    last: () => last,
    changes(call) {
      calls.add(call);
      return () => calls.delete(call);
    },
  };
}

export interface Gathering {
  readonly commits_max?: number;
  /** Without it somebody may always wait. */
  readonly wanted?: Wanted;
}

/** `source` brings arrays that are never empty; they are joined and cut as the bounds want it. */
export async function* gather(
  source: AsyncIterable<readonly Logged[]>,
  clock: Clock,
  { commits_max = limits.batch_commits_max, wanted }: Gathering = {},
): AsyncGenerator<Logged[]> {
  const iterator = source[Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<readonly Logged[]>> | null = null;
  /** What was read and not given out yet. */
  let here: readonly Logged[] = [];
  let at = 0;
  let ended = false;
  /** Commits of the batch before. */
  let before = 0;
  try {
    for (;;) {
      if (at === here.length) {
        if (ended) return;
        const first = await (pending ?? iterator.next());
        pending = null;
        if (first.done === true) return;
        [here, at] = [first.value, 0];
      }
      const batch: Logged[] = [];
      let chars = 0;
      const full = (): boolean => batch.length >= commits_max || chars >= limits.batch_chars_max;
      const take = (): void => {
        for (let one = here[at]; one !== undefined && !full(); one = here[at]) {
          batch.push(one);
          chars += weigh(one);
          at += 1;
        }
      };
      take();
      const cancels: (() => void)[] = [];
      const late = new Promise<typeof none>((resolve) => {
        const within = (ms: number): void =>
          void cancels.push(clock.after(ms, () => resolve(none)));
        const busy = before >= limits.batch_busy_commits;
        const asked = (): boolean => (wanted?.last() ?? Infinity) >= (batch[0]?.sequence ?? 0);
        within(asked() ? (busy ? limits.batch_busy_ms : limits.batch_ms) : limits.batch_unread_ms);
        const unheard = wanted?.changes(() => {
          if (asked()) within(limits.batch_ms);
        });
        if (unheard !== undefined) cancels.push(unheard);
      });
      while (!full() && !ended) {
        pending ??= iterator.next();
        const next = await Promise.race([pending, late]);
        if (next === none) break;
        pending = null;
        if (next.done === true) ended = true;
        else {
          [here, at] = [next.value, 0];
          take();
        }
      }
      for (const cancel of cancels) cancel();
      before = batch.length;
      yield batch;
    }
  } finally {
    // A read that is under way ends with the source; its failure was the source's to tell.
    pending?.catch(() => undefined);
    void iterator.return?.();
  }
}
