/**
 * The log: appends one decision as one message, and reads an actor's line of commits, each checked
 * against the hash of the one before (I3). An append says "appended" only of what is stored, and
 * "conflict" only when another commit stands there: what the network leaves open is settled by the
 * leader. State and `prev` always come from stored bytes.
 */
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type MsgRequest,
  type StoredMsg,
} from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { type Commit, type CommitDraft, type Head, headOf } from "../schemas/commit.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { eventSubject } from "../schemas/subjects.ts";
import { readBatch } from "./batches.ts";
import {
  contentOf,
  decodeCommit,
  encodeCommit,
  hashOf,
  needsKey,
  openCommit,
  type Opened,
} from "./codec.ts";
import type { Streams } from "./connection.ts";
import { BrokenChain, DamagedCommit, unavailable } from "./faults.ts";
import { events_stream } from "./topology.ts";
import type { Vault } from "./vault.ts";

/** `{ ok: false }`: another commit stands there; drop the state, reload, decide again. */
export type Appended = { ok: true; head: Head } | { ok: false };

export interface Log {
  /**
   * Appends one decision behind `head`. Resolves only when the outcome is known. A call may be
   * repeated with the same draft. Throws `AppError`: `unavailable`, `too_large`.
   */
  append(draft: CommitDraft, head: Head): Promise<Appended>;
  /**
   * The actor's commits behind `after`, in order, at least up to what the leader held at the
   * call. Throws `BrokenChain`, `DamagedCommit`, `AppError("unavailable")`.
   */
  read(ref: ActorRef, after: Head): AsyncIterable<Commit>;
  /** The actor's last commit, from the leader. */
  last(ref: ActorRef): Promise<Commit | null>;
  /** The actor's first commit, from the leader. */
  first(ref: ActorRef): Promise<Commit | null>;
  /** The commit at an EVENTS sequence; null when nothing stands there. */
  at(sequence: number): Promise<Commit | null>;
  /** SHA-256 of the bytes stored at an EVENTS sequence, hex, readable or not; null for nothing. */
  hashAt(sequence: number): Promise<string | null>;
  /** The last sequence of EVENTS; 0 when it is empty. */
  lastSequence(): Promise<number>;
}

export function openLog(streams: Streams, vault: Vault): Log {
  const decode = async (opened: Opened): Promise<Commit> => {
    const { ref } = opened;
    if (!needsKey(opened)) return decodeCommit(opened, null);
    const known = vault.cached(ref);
    return decodeCommit(opened, known === undefined ? await vault.key(ref, false) : known);
  };
  const decoded = async (message: StoredMsg | null): Promise<Commit | null> =>
    message === null ? null : decode(opened(message));
  const asked = async <T>(request: () => Promise<T>): Promise<T> => {
    try {
      return await request();
    } catch (cause) {
      throw unavailable("The log cannot be read", cause);
    }
  };

  const stored = async (sequence: number): Promise<StoredMsg | null> => {
    if (sequence < 1) return null;
    const near = await asked(() =>
      streams.tracked(streams.jsm.direct.getMessage(events_stream, { seq: sequence })),
    );
    // A replica that lags does not have it yet; the leader knows.
    return near ?? asked(() => fromLeader(streams, { seq: sequence }));
  };

  return {
    append: (draft, head) => append(streams, vault, draft, head),
    read: (ref, after) => read(streams, vault, decode, ref, after),
    last: async (ref) =>
      decoded(await asked(() => fromLeader(streams, { last_by_subj: eventSubject(ref) }))),
    first: async (ref) => decoded(await asked(() => nextFromLeader(streams, eventSubject(ref), 1))),
    at: async (sequence) => decoded(await stored(sequence)),
    async hashAt(sequence) {
      const message = await stored(sequence);
      return message === null ? null : hashOf(message.data);
    },
    lastSequence: () =>
      asked(
        async () => (await streams.tracked(streams.jsm.streams.info(events_stream))).state.last_seq,
      ),
  };
}

const opened = (message: StoredMsg): Opened =>
  openCommit(
    message.data,
    { subject: message.subject, sequence: message.seq },
    message.header.get("traceparent") || null,
  );

const fromLeader = (streams: Streams, query: MsgRequest): Promise<StoredMsg | null> =>
  streams.tracked(streams.jsm.streams.getMessage(events_stream, query));

/** The first message of `subject` from `seq` on, from the leader. */
const nextFromLeader = (
  streams: Streams,
  subject: string,
  seq: number,
): Promise<StoredMsg | null> => {
  // The server takes `next_by_subj` here as it does in a direct get; the client's type only lacks it.
  const query = { seq, next_by_subj: subject };
  return fromLeader(streams, query);
};

async function append(
  streams: Streams,
  vault: Vault,
  draft: CommitDraft,
  head: Head,
): Promise<Appended> {
  const subject = eventSubject(draft.ref);
  const content = contentOf(draft.events);
  const known = content === null ? null : vault.cached(draft.ref);
  const key = known === undefined ? await vault.key(draft.ref, true) : known;
  const bytes = encodeCommit(draft, head, content, key);
  const revision = head.revision + draft.events.length;
  const appended = (sequence: number, hash: string): Appended => ({
    ok: true,
    head: { revision, sequence, hash },
  });

  let cause: unknown;
  for (let attempt = 0; attempt < limits.append_attempts_max; attempt++) {
    if (attempt > 0) await pause(limits.append_backoff_ms[attempt] ?? 0);
    try {
      const ack = await streams.tracked(
        streams.js.publish(subject, bytes, {
          msgID: draft.commit,
          expect: { lastSubjectSequence: head.sequence },
          timeout: limits.append_timeout_ms,
          // The client writes into the headers it is given, so they are fresh for every publish.
          ...(draft.traceparent === null ? {} : { headers: traced(draft.traceparent) }),
        }),
      );
      if (!ack.duplicate) return appended(ack.seq, hashOf(bytes));
    } catch (error) {
      cause = error;
      // The server refused it for another reason than what lies there, so it is not stored.
      if (error instanceof JetStreamApiError && !unsettled.has(error.code)) break;
    }
    try {
      const last = await fromLeader(streams, { last_by_subj: subject });
      if (last !== null && last.header.get("Nats-Msg-Id") === draft.commit) {
        return appended(last.seq, hashOf(last.data));
      }
      if ((last?.seq ?? 0) !== head.sequence) return { ok: false };
      // Nothing has moved: ours is lost or still on its way. The same message again is harmless,
      // since only one of them can follow `head`.
    } catch (error) {
      cause = error;
    }
  }
  throw unavailable("The log cannot be written", cause);
}

/**
 * What says nothing about whether our commit is stored: 10071 comes before the look at the message
 * id on a single server, 10158 and 10164 (and 10163, not ready) mean that a write is in flight.
 */
const unsettled: ReadonlySet<number> = new Set([
  JetStreamApiCodes.StreamWrongLastSequence,
  JetStreamApiCodes.StreamWrongLastSequenceUnknown,
  10158,
  10163,
]);

function traced(traceparent: string): ReturnType<typeof headers> {
  const made = headers();
  made.set("traceparent", traceparent);
  return made;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function* read(
  streams: Streams,
  vault: Vault,
  decode: (opened: Opened) => Promise<Commit>,
  ref: ActorRef,
  after: Head,
): AsyncGenerator<Commit> {
  const subject = eventSubject(ref);
  let head = after;
  try {
    const last = await fromLeader(streams, { last_by_subj: subject });
    const end = last?.seq ?? 0;
    if (end < after.sequence) {
      throw new BrokenChain({ subject, sequence: after.sequence }, "the log ends before it");
    }
    if (last !== null && end === after.sequence && hashOf(last.data) !== after.hash) {
      throw new BrokenChain({ subject, sequence: end }, "another commit stands there");
    }
    // On its way while the commits are; what becomes of it is met where one is opened.
    if (head.sequence < end) vault.key(ref, false).catch(() => undefined);
    while (head.sequence < end) {
      for (const message of await next(streams, subject, head.sequence, last)) {
        const stored = opened(message);
        follows(stored, head);
        const commit = await decode(stored);
        head = headOf(commit);
        yield commit;
      }
    }
  } catch (cause) {
    if (cause instanceof BrokenChain || cause instanceof DamagedCommit) throw cause;
    throw unavailable("The log cannot be read", cause);
  }
}

/** Some messages behind `sequence`, never none: `last` says that there is one. */
async function next(
  streams: Streams,
  subject: string,
  sequence: number,
  last: StoredMsg | null,
): Promise<readonly StoredMsg[]> {
  const { messages } = await readBatch(streams, events_stream, subject, { seq: sequence + 1 });
  if (messages.length > 0) return messages;
  // The replica that answered lags behind the leader.
  const missing = await nextFromLeader(streams, subject, sequence + 1);
  if (missing === null) {
    throw new BrokenChain(
      { subject, sequence: last?.seq ?? sequence },
      "the leader lost it while we read",
    );
  }
  return [missing];
}

/** Throws `BrokenChain` unless the commit is the one that comes right behind `head`. */
function follows({ stored, place }: Opened, head: Head): void {
  if (stored.prev !== head.hash) {
    throw new BrokenChain(place, "it names another commit as the one before it");
  }
  if (stored.revision !== head.revision + 1) {
    const expected = head.revision + 1;
    throw new BrokenChain(place, `its first event is number ${stored.revision}, not ${expected}`);
  }
}
