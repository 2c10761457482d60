/**
 * The one unfiltered ordered reader of projectors: everything behind a sequence, then what comes,
 * by the same code. It goes on by itself after any loss of the link or the server. What cannot be
 * decoded is handed on as such, since one actor's damage must not stop all others.
 */
import type { Msg } from "@nats-io/transport-node";
import type { Commit } from "../../schemas/commit.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { decodeCommit, hashOf, needsKey, openCommit, type Opened } from "./codec.ts";
import type { Streams } from "../connection.ts";
import { DamagedCommit } from "../faults.ts";
import { type Arrived, pullEvents } from "./pulls.ts";
import type { ContentKey, Vault } from "../content/vault.ts";

/** A commit of a known actor that the running code cannot decode. */
export interface Undecodable {
  readonly ref: ActorRef;
  /** The number of its first event; 0 when not even that can be read. */
  readonly revision: number;
  readonly sequence: number;
  readonly reason: string;
  /** SHA-256 of its stored bytes, hex. */
  readonly hash: string;
  readonly undecodable: true;
}

export type Logged = Commit | Undecodable;

export interface Reading {
  /** Where to begin: behind this EVENTS sequence. */
  readonly after: number;
  /** The last sequence to read; without it, reading goes on with what comes. */
  readonly until?: number;
  /** Only commits on subjects that match; not with `until`, which may lie behind the last of them. */
  readonly filter?: string | readonly string[];
  readonly signal: AbortSignal;
  /**
   * `last`: only the last commit of each array has its `hash`, the others have "". For whoever keeps
   * only where they are: hashing is a fifth of what reading costs.
   */
  readonly hashes?: "all" | "last";
  /** So long an array gathers after its first commit, for whoever does better with few large ones. */
  readonly gather_ms?: number;
}

/** Commits of one array: a few milliseconds of decoding, during which nothing else happens here. */
const batch_max = 512;

/** The commits behind `after`, in log order, one by one, until the signal. See `readBatches`. */
export async function* readCommits(
  streams: Streams,
  vault: Vault,
  options: Reading,
): AsyncGenerator<Logged> {
  for await (const batch of readBatches(streams, vault, options)) {
    for (const logged of batch) {
      if (options.signal.aborted) return;
      yield logged;
    }
  }
}

/**
 * The commits behind the stream sequence `after`, in log order, as many at a time as are there, never
 * none, until the signal or the sequence `until`. A message that names no actor at all cannot be one
 * of ours and throws `DamagedCommit`.
 */
export function readBatches(
  streams: Streams,
  vault: Vault,
  options: Reading,
): AsyncGenerator<readonly Logged[]> {
  const onlyLastHash = options.hashes === "last";
  return readThrough(streams, options, (arrived) => decodeAll(arrived, vault, onlyLastHash));
}

/**
 * The same without what people wrote: content is blank, and no key is asked for. For whoever must know
 * at once who did what.
 */
export const readPlain = (streams: Streams, options: Reading): AsyncGenerator<readonly Logged[]> =>
  readThrough(streams, options, async (arrived) =>
    arrived.map((one) => {
      const opened = open(one);
      if ("undecodable" in opened) return opened;
      try {
        return decodeCommit(opened, null, false);
      } catch (error) {
        return undecodable(error, opened.bytes);
      }
    }),
  );

/**
 * What `decode` makes of the messages behind `after`, some at a time, through all that breaks. It is
 * called again for what it has failed to decode, unless it throws `DamagedCommit`.
 */
export async function* readThrough<T>(
  streams: Streams,
  { after, until = Number.POSITIVE_INFINITY, signal, filter, gather_ms }: Reading,
  decode: (arrived: readonly Arrived[]) => Promise<T>,
): AsyncGenerator<T> {
  let position = after;
  for (let failures = 0; !signal.aborted && position < until; failures++) {
    const pulling = await pullEvents(streams, position, filter).catch(() => null);
    if (pulling !== null) {
      const { stop } = pulling;
      signal.addEventListener("abort", stop);
      // It may have come while the consumer was made.
      if (signal.aborted) stop();
      // What was on its way when the link broke will not come; from the position we are there at once.
      const unlink = streams.onLink((up) => (up ? stop() : undefined));
      try {
        while (position < until) {
          const arrived = await pulling.take(Math.min(batch_max, until - position), gather_ms);
          if (arrived.length === 0 || signal.aborted) break;
          const batch = await decode(arrived);
          if (signal.aborted) return;
          position = arrived.at(-1)?.sequence ?? position;
          failures = 0;
          yield batch;
        }
      } catch (error) {
        // Damage is the caller's to see; keys that cannot be read now are asked for again.
        if (error instanceof DamagedCommit) throw error;
      } finally {
        signal.removeEventListener("abort", stop);
        unlink();
        stop();
      }
    }
    if (streams.nc.isClosed()) return;
    if (position < until) await backOff(failures, signal);
  }
}

/** Decodes messages of the log, in order; the keys that are not at hand are fetched together. */
async function decodeAll(
  arrived: readonly Arrived[],
  vault: Vault,
  onlyLastHash: boolean,
): Promise<Logged[]> {
  const unknown: ActorRef[] = [];
  const keys: (ContentKey | null | undefined)[] = [];
  const opened = arrived.map((one) => {
    const commit = open(one);
    const key = "undecodable" in commit || !needsKey(commit) ? null : vault.cached(commit.ref);
    if (key === undefined) unknown.push(commit.ref);
    keys.push(key);
    return commit;
  });
  const fetched = unknown.length === 0 ? null : await vault.keys(unknown);
  const last = opened.length - 1;
  return opened.map((one, at) => {
    if ("undecodable" in one) return one;
    const known = keys[at];
    const key = known === undefined ? (fetched?.get(refKey(one.ref)) ?? null) : known;
    try {
      return decodeCommit(one, key, !onlyLastHash || at === last);
    } catch (error) {
      return undecodable(error, one.bytes);
    }
  });
}

function open({ sequence, message }: Arrived): Opened | Undecodable {
  const { data, subject } = message;
  try {
    return openCommit(data, { subject, sequence }, traceOf(message, data));
  } catch (error) {
    return undecodable(error, data);
  }
}

/** As long as the headers of an append are, with a trace and without. */
const headers_bytes = 256;

/**
 * The trace that a commit belongs to. Few have one, and parsing the headers only to see that costs a
 * third of what parsing the commit does (measured): so the bytes that lie right before the data are
 * looked at first.
 */
export function traceOf(message: Msg, { buffer, byteOffset }: Uint8Array): string | null {
  const from = Math.max(0, byteOffset - headers_bytes);
  const before = Buffer.from(buffer, from, byteOffset - from).toString("latin1");
  const begin = before.lastIndexOf("NATS/1.0\r\n");
  const seen = begin !== -1 && before.endsWith("\r\n\r\n");
  if (seen && !before.includes("traceparent", begin)) return null;
  return message.headers?.get("traceparent") || null;
}

/** What is known of a damaged commit; throws the error on when that is not even its actor. */
export function undecodable(error: unknown, data: Uint8Array): Undecodable {
  if (!(error instanceof DamagedCommit)) throw error;
  const { place, reason, ref } = error;
  if (ref === null) throw error;
  const { sequence, revision = 0 } = place;
  return { ref, revision, sequence, reason, hash: hashOf(data), undecodable: true };
}

/** Waits longer after every failure, at most until the signal. */
function backOff(failures: number, signal: AbortSignal): Promise<void> {
  const ms = Math.min(limits.runner_backoff_ms * 2 ** failures, limits.runner_backoff_ms_max);
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}
