/** The log as projections read it, made of what `streams/` offers; the wire joins the two. */
import type { Logged } from "./lane.ts";

export interface Reading {
  /** Where to begin: behind this EVENTS sequence. */
  readonly after: number;
  /** The last sequence to read; without it, reading goes on with what comes. */
  readonly until?: number;
  readonly signal: AbortSignal;
  /** `last`: only the last commit of each array has its hash, the others have "". */
  readonly hashes?: "all" | "last";
}

/** The log, as far as projections need it. */
export interface LogSource {
  /** What lies behind `after`, in arrays that are never empty, as many commits as are there. */
  read(reading: Reading): AsyncIterable<readonly Logged[]>;
  /** The last EVENTS sequence; 0 when there is none. */
  last(): Promise<number>;
  /** SHA-256 of the stored bytes at a sequence, hex; null when nothing stands there. */
  hashAt(sequence: number): Promise<string | null>;
}

/** The part of the log that knows single commits. */
export interface LogEnd {
  hashAt(sequence: number): Promise<string | null>;
  lastSequence(): Promise<number>;
}

export const logSource = (log: LogEnd, read: LogSource["read"]): LogSource => ({
  read,
  last: () => log.lastSequence(),
  hashAt: (sequence) => log.hashAt(sequence),
});
