/** A log of commits in memory, which grows, can be cut and can lose some of them. */
import type { LogSource } from "../../projections/log-source.ts";
import type { Commit } from "../../schemas/commit.ts";

export interface MemoryLog extends LogSource {
  append(more: readonly Commit[]): void;
}

/** `commits` stand at the sequences that they carry; `array_max` is how many a reader brings at once. */
export function logOf(commits: Commit[], array_max = 64): MemoryLog {
  let grown = Promise.withResolvers<void>();
  return {
    append(more) {
      commits.push(...more);
      grown.resolve();
      grown = Promise.withResolvers();
    },
    last: () => Promise.resolve(commits.at(-1)?.sequence ?? 0),
    hashAt: (sequence) =>
      Promise.resolve(commits.find((one) => one.sequence === sequence)?.hash ?? null),
    async *read({ after, until = Number.POSITIVE_INFINITY, signal }) {
      const ended = new Promise<void>((resolve) =>
        signal.addEventListener("abort", () => resolve()),
      );
      let position = after;
      while (!signal.aborted && position < until) {
        const begin = commits.findIndex(({ sequence }) => sequence > position);
        if (begin === -1) {
          await Promise.race([grown.promise, ended]);
          continue;
        }
        const batch = commits
          .slice(begin, begin + array_max)
          .filter((one) => one.sequence <= until);
        position = batch.at(-1)?.sequence ?? until;
        if (batch.length > 0) yield batch;
      }
    },
  };
}
