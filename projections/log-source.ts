/** The log as the runner reads it, made of what `streams/` offers; the wire joins the two. */
import type { Logged } from "./lane.ts";
import type { LogSource } from "./runner.ts";

/** The part of the log that knows single commits. */
export interface LogEnd {
  hashAt(sequence: number): Promise<string | null>;
  lastSequence(): Promise<number>;
}

/** `read` is the unfiltered reader: everything behind `after`, then what comes, until the signal. */
export const logSource = (
  log: LogEnd,
  read: (options: { after: number; signal: AbortSignal }) => AsyncIterable<Logged>,
): LogSource => ({
  read: (after, signal) => read({ after, signal }),
  last: () => log.lastSequence(),
  hashAt: (sequence) => log.hashAt(sequence),
});
