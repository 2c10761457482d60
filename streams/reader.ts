/**
 * The one unfiltered ordered reader of a projector: everything behind a sequence, then what comes,
 * by the same code. It goes on by itself after any loss of the link or the server. What cannot be
 * decoded is handed on as such, since one actor's damage must not stop all others.
 */
import type { Consumer, ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import type { Commit } from "../schemas/commit.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { decodeCommit, hashOf, needsKey, openCommit } from "./codec.ts";
import type { Streams } from "./connection.ts";
import { DamagedCommit } from "./faults.ts";
import { events_stream } from "./topology.ts";
import type { Vault } from "./vault.ts";

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

/** Commits decoded ahead of the reader: enough to fetch many keys at once, and bounded. */
const ahead_max = 256;
/** Two missed heartbeats, each half of this, and a consumer that died without a word is made anew. */
const idle_ms = 4_000;

/**
 * The commits behind the stream sequence `after`, in log order, until the signal. A message that
 * names no actor at all cannot be one of ours and throws `DamagedCommit`.
 */
export async function* readCommits(
  streams: Streams,
  vault: Vault,
  options: { after: number; signal: AbortSignal },
): AsyncGenerator<Commit | Undecodable> {
  const { signal } = options;
  let position = options.after;
  for (let failures = 0; !signal.aborted; failures++) {
    const source = await open(streams, position).catch(() => null);
    if (source !== null) {
      const stop = (): void => source.messages.stop();
      signal.addEventListener("abort", stop);
      // The client would make its consumer anew, but pull only as much as was missing before, and
      // then wait for missed heartbeats (3.4.0, seen); from the position we are there at once.
      const unlink = streams.onLink((up) => (up ? stop() : undefined));
      try {
        for await (const logged of decodeAhead(source.messages, vault)) {
          if (signal.aborted) return;
          position = logged.sequence;
          failures = 0;
          yield logged;
        }
      } catch (error) {
        // Damage is the caller's to see; a broken consumer is made anew from the position.
        if (error instanceof DamagedCommit) throw error;
      } finally {
        signal.removeEventListener("abort", stop);
        unlink();
        stop();
        // It would end by itself, too: it is ephemeral.
        source.consumer.delete().catch(() => undefined);
      }
    }
    if (streams.nc.isClosed()) return;
    await backOff(failures, signal);
  }
}

async function open(
  streams: Streams,
  after: number,
): Promise<{ consumer: Consumer; messages: ConsumerMessages }> {
  const consumer = await streams.js.consumers.get(events_stream, {
    deliver_policy: "by_start_sequence",
    opt_start_seq: after + 1,
  });
  return {
    consumer,
    messages: await consumer.consume({ max_messages: 2 * ahead_max, expires: idle_ms }),
  };
}

/** Decodes up to `ahead_max` messages at once and gives them out in order. */
async function* decodeAhead(
  messages: ConsumerMessages,
  vault: Vault,
): AsyncGenerator<Commit | Undecodable> {
  const decoding: (Commit | Undecodable | Promise<Commit | Undecodable>)[] = [];
  let wakeReader = (): void => undefined;
  let wakePump = (): void => undefined;
  const pumped: { ended: boolean; error: Error | null } = { ended: false, error: null };

  const pump = async (): Promise<void> => {
    for await (const message of messages) {
      const decoded = decode(message, vault);
      // Its failure is met when its turn comes, and must not count as unhandled until then.
      if (decoded instanceof Promise) decoded.catch(() => undefined);
      decoding.push(decoded);
      wakeReader();
      if (decoding.length >= ahead_max) await new Promise<void>((wake) => (wakePump = wake));
    }
  };
  void pump()
    .catch((error: unknown) => {
      pumped.error = error instanceof Error ? error : new Error(String(error));
    })
    .finally(() => {
      pumped.ended = true;
      wakeReader();
    });

  try {
    for (;;) {
      const decoded = decoding.shift();
      if (decoded !== undefined) {
        wakePump();
        yield await decoded;
      } else if (pumped.ended) {
        if (pumped.error !== null) throw pumped.error;
        return;
      } else {
        await new Promise<void>((wake) => (wakeReader = wake));
      }
    }
  } finally {
    messages.stop();
    wakePump();
  }
}

function decode(
  message: JsMsg,
  vault: Vault,
): Commit | Undecodable | Promise<Commit | Undecodable> {
  const { data, subject, seq, headers } = message;
  const place = { subject, sequence: seq };
  try {
    const opened = openCommit(data, place, headers?.get("traceparent") || null);
    if (!needsKey(opened)) return decodeCommit(opened, null);
    const known = vault.cached(opened.ref);
    if (known !== undefined) return decodeCommit(opened, known);
    return vault
      .key(opened.ref, false)
      .then((key) => decodeCommit(opened, key))
      .catch((error: unknown) => undecodable(error, data));
  } catch (error) {
    return undecodable(error, data);
  }
}

/** What is known of a damaged commit; throws the error on when that is not even its actor. */
function undecodable(error: unknown, data: Uint8Array): Undecodable {
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
