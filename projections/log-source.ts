/** The log as the runner reads it, made of what `streams/` offers; the wire joins the two. */
import type { Commit } from "../schemas/commit.ts";
import type { Logged } from "./lane.ts";
import type { LogSource } from "./runner.ts";

/** The part of the log that knows single commits. */
export interface LogEnd {
  at(sequence: number): Promise<Pick<Commit, "hash"> | null>;
  lastSequence(): Promise<number>;
}

/** `read` is the unfiltered reader: everything behind `after`, then what comes, until the signal. */
export const logSource = (
  log: LogEnd,
  read: (options: { after: number; signal: AbortSignal }) => AsyncIterable<Logged>,
): LogSource => ({
  read: (after, signal) => read({ after, signal }),
  last: () => log.lastSequence(),
  hashAt: async (sequence) => (await log.at(sequence))?.hash ?? null,
});
