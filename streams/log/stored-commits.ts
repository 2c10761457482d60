/**
 * The stored bytes of EVENTS in log order, as far as a sequence: for whoever hashes them and decodes
 * nothing. Holds what `pulls.ts` holds. Whoever reads to its end has seen all that the leader had: a
 * replica that lags is read again, and what is missing is an error, since what comes behind a hole
 * would be hashed wrongly.
 */
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { nextFromLeader } from "../leader.ts";
import { type Arrived, pullEvents } from "./pulls.ts";

export interface StoredCommitBytes {
  readonly subject: string;
  readonly sequence: number;
  readonly data: Uint8Array;
}

export interface StoredRange {
  /** What stands behind this sequence … */
  readonly after: number;
  /** … up to this one … */
  readonly until: number;
  /** … on subjects that match. */
  readonly filter: string;
  readonly signal?: AbortSignal | undefined;
}

/** Messages that are looked at before others have their turn: some milliseconds of hashing. */
const batch_max = 256;
/** A server stops without a word at a block that it cannot unpack, and its heart beats on. */
const silent_ms_max = 15_000;
/** Readings in a row in which a replica had nothing of what its leader has. */
const idle_readings_max = 20;

/** Throws `AppError("unavailable")`, and the signal's reason. */
export async function* readStored(
  streams: Streams,
  { after, until, filter, signal }: StoredRange,
): AsyncGenerator<StoredCommitBytes> {
  let position = after;
  for (let idle = 0; position < until;) {
    signal?.throwIfAborted();
    const before = position;
    for await (const stored of readReplica(streams, { after: position, until, filter, signal })) {
      position = stored.sequence;
      yield stored;
    }
    const next = await asked(nextFromLeader(streams, filter, position + 1));
    if (next === null || next.seq > until) return;
    idle = position === before ? idle + 1 : 0;
    if (idle === idle_readings_max) throw failed(new Error("a replica lags behind its leader"));
    await new Promise((resolve) => setTimeout(resolve, limits.runner_backoff_ms));
  }
}

const failed = (cause: unknown): Error => unavailable("The log cannot be read", cause);
const asked = <T>(request: Promise<T>): Promise<T> =>
  request.catch((cause: unknown) => {
    throw failed(cause);
  });

/** What the replica that answers has when it is asked. */
async function* readReplica(
  streams: Streams,
  { after, until, filter, signal }: StoredRange,
): AsyncGenerator<StoredCommitBytes> {
  const pulling = await asked(pullEvents(streams, after, filter));
  const { stop, pending } = pulling;
  const unlink = streams.onLink(stop);
  let position = after;
  signal?.addEventListener("abort", stop);
  try {
    for (let left = pending; left > 0;) {
      const silent = setTimeout(stop, silent_ms_max);
      const arrived = await pulling.take(batch_max).finally(() => clearTimeout(silent));
      signal?.throwIfAborted();
      const last = arrived.at(-1);
      if (last === undefined) throw failed(new Error(`nothing comes behind sequence ${position}`));
      position = last.sequence;
      for (const { sequence, message } of arrived) {
        if (sequence > until) return;
        yield { subject: message.subject, sequence, data: message.data };
      }
      if (last.sequence >= until) return;
      left = behind(last);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    unlink();
    stop();
  }
}

/** What is still to come: the last token of where a message is acknowledged. */
const behind = ({ message: { reply = "" } }: Arrived): number =>
  Number(reply.slice(reply.lastIndexOf(".") + 1));
