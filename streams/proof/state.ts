/** What the stream says of itself, and what that means for a log of which nothing is ever taken away. */
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { events_stream } from "../topology.ts";
import type { Hole } from "./scan.ts";

/** Something that is wrong with the log. */
export interface Finding {
  /**
   * `missing`: messages are not there; `lost`: the server has dropped some; `broken`: a chain does not
   * hold; `disagrees`: somebody remembers another log; `anchor`: it is not what it was made of.
   */
  readonly what: "missing" | "lost" | "broken" | "disagrees" | "anchor";
  /** Where, as sequences, when that is known. */
  readonly first?: number;
  readonly last?: number;
  /** The actor, as its subject, and the number of its commit's first event. */
  readonly subject?: string;
  readonly revision?: number;
  readonly sentence: string;
}

export interface LogState {
  readonly first: number;
  readonly last: number;
  readonly messages: number;
  readonly deleted: number;
  /** What the server gave up when it started, until it starts again. */
  readonly lost_bytes: number;
}

/** Null when there is no stream. Throws `AppError("unavailable")`. */
export async function logState(streams: Streams): Promise<LogState | null> {
  try {
    const { state } = await streams.tracked(streams.jsm.streams.info(events_stream));
    // The server leaves out what is nothing, which the client's types do not say.
    const told: Partial<typeof state> = state;
    return {
      ...{ first: state.first_seq, last: state.last_seq, messages: state.messages },
      deleted: told.num_deleted ?? 0,
      lost_bytes: told.lost?.bytes ?? 0,
    };
  } catch (cause) {
    if (cause instanceof Error && cause.message === "stream not found") return null;
    throw unavailable("The log cannot be looked up", cause);
  }
}

export const missing = ({ first, last }: Hole): Finding => ({
  ...{ what: "missing", first, last },
  sentence:
    first === last
      ? `The commit at ${first} cannot be read.`
      : `The ${last - first + 1} commits from ${first} to ${last} cannot be read.`,
});

/** What is wrong by the numbers alone. */
export function findingsOf(state: LogState | null): Finding[] {
  if (state === null) {
    return [{ what: "missing", sentence: `There is no stream ${events_stream}.` }];
  }
  const { first, last, messages, deleted, lost_bytes } = state;
  const findings: Finding[] = [];
  if (lost_bytes > 0) {
    const sentence = `The server found damage when it started and dropped ${lost_bytes} bytes of the log.`;
    findings.push({ what: "lost", sentence });
  }
  if (last === 0) return findings;
  // An empty stream that has had messages begins behind its last.
  if (first !== 1) findings.push(missing({ first: 1, last: Math.min(last, first - 1) }));
  const gone = Math.max(deleted, last - Math.max(first, 1) + 1 - messages);
  if (gone > 0) {
    findings.push({ what: "missing", sentence: `${gone} of ${last} commits are gone.` });
  }
  return findings;
}
