/**
 * Gathers what a reader brings into batches: what is there at once, and what comes within `batch_ms`
 * after the first (`batch_busy_ms` while much comes), bounded in commits and in text. Catch-up
 * therefore runs in full batches and live traffic in small ones, with the same code.
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

/** `source` brings arrays that are never empty; they are joined and cut as the bounds want it. */
export async function* gather(
  source: AsyncIterable<readonly Logged[]>,
  clock: Clock,
  commits_max: number = limits.batch_commits_max,
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
      let cancel = (): void => undefined;
      const late = new Promise<typeof none>((resolve) => {
        const busy = before >= limits.batch_busy_commits;
        cancel = clock.after(busy ? limits.batch_busy_ms : limits.batch_ms, () => resolve(none));
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
      cancel();
      before = batch.length;
      yield batch;
    }
  } finally {
    // A read that is under way ends with the source; its failure was the source's to tell.
    pending?.catch(() => undefined);
    void iterator.return?.();
  }
}
