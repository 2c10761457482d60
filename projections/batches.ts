/**
 * Gathers a stream of commits into batches: what is there at once, for at most `batch_ms` after the
 * first, bounded in commits and in text. Catch-up therefore runs in full batches and live traffic
 * in small ones, with the same code.
 */
import type { Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Logged } from "./lane.ts";

const none = Symbol("nothing within the time");

/** Characters of text in it, roughly: what makes a batch large in memory. */
function weigh(logged: Logged): number {
  if ("undecodable" in logged) return 0;
  let chars = 0;
  for (const { data } of logged.events) if ("text" in data) chars += data.text.length;
  return chars;
}

export async function* gather(
  source: AsyncIterable<Logged>,
  clock: Clock,
  commits_max: number = limits.batch_commits_max,
): AsyncGenerator<Logged[]> {
  const iterator = source[Symbol.asyncIterator]();
  let pending: Promise<IteratorResult<Logged>> | null = null;
  try {
    for (;;) {
      const first = await (pending ?? iterator.next());
      pending = null;
      if (first.done === true) return;
      const batch = [first.value];
      let chars = weigh(first.value);
      let cancel = (): void => undefined;
      const late = new Promise<typeof none>((resolve) => {
        cancel = clock.after(limits.batch_ms, () => resolve(none));
      });
      let ended = false;
      while (batch.length < commits_max && chars < limits.batch_chars_max) {
        pending ??= iterator.next();
        const next = await Promise.race([pending, late]);
        if (next === none) break;
        pending = null;
        if (next.done === true) {
          ended = true;
          break;
        }
        batch.push(next.value);
        chars += weigh(next.value);
      }
      cancel();
      yield batch;
      if (ended) return;
    }
  } finally {
    // A read that is under way ends with the source; its failure was the source's to tell.
    pending?.catch(() => undefined);
    void iterator.return?.();
  }
}
