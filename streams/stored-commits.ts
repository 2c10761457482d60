/**
 * The stored bytes of EVENTS in log order, as far as a sequence: for whoever hashes them and decodes
 * nothing. Holds what `pulls.ts` holds. Whoever reads to its end has seen all: what is missing is an
 * error, since what comes behind a hole would be hashed wrongly.
 */
import type { Streams } from "./connection.ts";
import { unavailable } from "./faults.ts";
import { type Arrived, type Pulling, pullEvents } from "./pulls.ts";

export interface StoredCommitBytes {
  readonly subject: string;
  readonly sequence: number;
  readonly data: Uint8Array;
}

/** Messages that are looked at before others have their turn: some milliseconds of hashing. */
const batch_max = 256;

/**
 * What stands behind the sequence `after`, up to `until`, on subjects that match `filter`. Throws
 * `AppError("unavailable")`, and the signal's reason.
 */
export async function* readStored(
  streams: Streams,
  options: {
    readonly after: number;
    readonly until: number;
    readonly filter: string;
    readonly signal?: AbortSignal | undefined;
  },
): AsyncGenerator<StoredCommitBytes> {
  const { after, until, filter, signal } = options;
  signal?.throwIfAborted();
  if (after >= until) return;
  const failed = (cause: unknown): Error => unavailable("The log cannot be read", cause);
  let pulling: Pulling;
  try {
    pulling = await pullEvents(streams, after, filter);
  } catch (cause) {
    throw failed(cause);
  }
  const { stop, pending } = pulling;
  const unlink = streams.onLink(stop);
  signal?.addEventListener("abort", stop);
  try {
    for (let left = pending; left > 0;) {
      const arrived = await pulling.take(batch_max);
      signal?.throwIfAborted();
      const last = arrived.at(-1);
      if (last === undefined) throw failed(new Error("its reader has ended early"));
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
