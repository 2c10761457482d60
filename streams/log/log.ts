/**
 * The log: appends one decision as one message (`append.ts`), and reads an actor's line of commits,
 * each checked against the hash of the one before (I3). State and `prev` always come from stored
 * bytes.
 */
import type { StoredMsg } from "@nats-io/jetstream";
import {
  type Commit,
  type CommitDraft,
  empty_head,
  type Head,
  headOf,
  type LineEnd,
} from "../../schemas/commit.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { eventSubject } from "../../schemas/subjects.ts";
import { append, type Appended } from "./append.ts";
import { readBatch } from "./batches.ts";
import { decodeCommit, hashOf, needsKey, openCommit, type Opened } from "./codec.ts";
import type { Streams } from "../connection.ts";
import { BrokenChain, DamagedCommit, unavailable } from "../faults.ts";
import { fromLeader, nextFromLeader } from "../leader.ts";
import { events_stream } from "../topology.ts";
import type { Vault } from "../content/vault.ts";

export interface Log {
  /**
   * Appends one decision behind `head`. Resolves only when the outcome is known. A call may be
   * repeated with the same draft. Throws `AppError`: `unavailable`, `too_large`.
   */
  append(draft: CommitDraft, head: Head): Promise<Appended>;
  /**
   * Where the leader says that the actor's line ends, for a `read` that waits for something else
   * first. `begins`: what is to be appended may be its first commit, so that its content key is made
   * meanwhile. Throws `AppError("unavailable")`.
   */
  end(ref: ActorRef, begins?: boolean): Promise<LineEnd>;
  /**
   * The actor's commits behind `after`, in order, at least up to what the leader held at the call, or
   * at that of `end`. Throws `BrokenChain`, `DamagedCommit`, `AppError("unavailable")`.
   */
  read(ref: ActorRef, after: Head, end?: Promise<LineEnd>): AsyncIterable<Commit>;
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
    async end(ref, begins = false) {
      // Whoever appends finds it, or what went wrong with it.
      if (begins) vault.key(ref, true).catch(() => undefined);
      return asked(() => lineEnd(streams, eventSubject(ref)));
    },
    read: (ref, after, end) => read(streams, vault, decode, ref, after, end),
    last: async (ref) =>
      decoded(await asked(() => fromLeader(streams, { last_by_subj: eventSubject(ref) }))),
    first: async (ref) => decoded(await asked(() => nextFromLeader(streams, eventSubject(ref), 1))),
    at: async (sequence) => decoded(await stored(sequence)),
    async hashAt(sequence) {
      const message = await stored(sequence);
      return message === null ? null : hashOf(message.data);
    },
    lastSequence: () => lastSequence(streams),
  };
}

/** The last sequence of EVENTS, 0 when it is empty; needs no keys. Throws `AppError("unavailable")`. */
export async function lastSequence(streams: Streams): Promise<number> {
  try {
    return (await streams.tracked(streams.jsm.streams.info(events_stream))).state.last_seq;
  } catch (cause) {
    throw unavailable("The log cannot be read", cause);
  }
}

const opened = (message: StoredMsg): Opened =>
  openCommit(
    message.data,
    { subject: message.subject, sequence: message.seq },
    message.header.get("traceparent") || null,
  );

async function* read(
  streams: Streams,
  vault: Vault,
  decode: (opened: Opened) => Promise<Commit>,
  ref: ActorRef,
  after: Head,
  asked?: Promise<LineEnd>,
): AsyncGenerator<Commit> {
  const subject = eventSubject(ref);
  let head = after;
  try {
    // Whoever has read some of it asks for the rest at once; one that fails is asked for again.
    let tail = after.sequence === 0 ? null : batchBehind(streams, subject, after).catch(() => []);
    if (tail !== null) vault.key(ref, false).catch(() => undefined);
    let end = await (asked ?? lineEnd(streams, subject));
    // Others went on since then, and what is read behind was kept of that.
    if (asked !== undefined && end.sequence < after.sequence) end = await lineEnd(streams, subject);
    if (end.sequence < after.sequence) {
      throw new BrokenChain({ subject, sequence: after.sequence }, "the log ends before it");
    }
    if (end.sequence === after.sequence && end.hash !== after.hash) {
      throw new BrokenChain({ subject, sequence: end.sequence }, "another commit stands there");
    }
    // On its way while the commits are; what becomes of it is met where one is opened.
    if (head.sequence < end.sequence) vault.key(ref, false).catch(() => undefined);
    while (head.sequence < end.sequence) {
      const messages = (await tail) ?? [];
      tail = null;
      const some = messages.length > 0 ? messages : await next(streams, subject, head, end);
      for (const message of some) {
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

/** What a replica has behind `head`. */
const batchBehind = async (
  streams: Streams,
  subject: string,
  { sequence }: Head,
): Promise<readonly StoredMsg[]> =>
  (await readBatch(streams, events_stream, subject, { seq: sequence + 1 })).messages;

async function lineEnd(streams: Streams, subject: string): Promise<LineEnd> {
  const last = await fromLeader(streams, { last_by_subj: subject });
  return last === null ? empty_head : { sequence: last.seq, hash: hashOf(last.data) };
}

/** Some messages behind `head`, never none: `end` says that there is one. */
async function next(
  streams: Streams,
  subject: string,
  head: Head,
  end: LineEnd,
): Promise<readonly StoredMsg[]> {
  const messages = await batchBehind(streams, subject, head);
  if (messages.length > 0) return messages;
  const { sequence } = head;
  // The replica that answered lags behind the leader.
  const missing = await nextFromLeader(streams, subject, sequence + 1);
  if (missing === null) {
    throw new BrokenChain({ subject, sequence: end.sequence }, "the leader lost it while we read");
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
