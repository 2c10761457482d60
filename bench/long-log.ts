/**
 * A long log as years of use leave it behind: conversations of several tenants, interleaved, their
 * contents sealed under keys in `KEYS`, chained, appended with the same checks as `streams/log/append.ts`
 * makes, but thousands at once. The same seed gives the same events in the same order; the bytes
 * differ, since keys and nonces are random.
 */
import { headers } from "@nats-io/transport-node";
import { type CommitDraft, empty_head, type Head } from "../schemas/commit.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { eventSubject } from "../schemas/subjects.ts";
import { contentOf, encodeCommit, hashOf } from "../streams/log/codec.ts";
import type { Streams } from "../streams/connection.ts";
import type { ContentKey, Vault } from "../streams/content/vault.ts";
import { idFrom, type Random, seeded, type Step, tale } from "./tales.ts";

export interface Written {
  readonly events: number;
  readonly commits: number;
  readonly conversations: number;
  /** Of the stored messages, without their headers. */
  readonly bytes: number;
}

export interface LongLog {
  /** Appends one more decision, without waiting for the answer; its sequence and how many events. */
  append(): Promise<{ readonly sequence: number; readonly events: number }>;
  /** Resolves when all are stored. Throws what the server refused. */
  settled(): Promise<void>;
  written(): Written;
  end(): void;
}

/** Conversations that go on at the same time. */
const open_conversations = 1_000;
const tenants = ["acme", "globex", "initech", "umbrella", "hooli"] as const;
/** Unanswered appends; the server takes 10,000 of a stream. */
const in_flight_max = 2_000;
const begin_ms = Date.parse("2026-01-01T00:00:00.000Z");

interface Open {
  readonly ref: ActorRef;
  readonly key: Promise<ContentKey | null>;
  readonly steps: Generator<Step>;
  head: Head;
  at_ms: number;
}

/** Appends at least so many events to EVENTS, which nobody else may write to meanwhile. */
export async function writeLongLog(
  streams: Streams,
  vault: Vault,
  options: { readonly events: number; readonly seed: number },
): Promise<Written> {
  const width = Math.min(open_conversations, Math.ceil(options.events / 100));
  const log = await openLongLog(streams, vault, { seed: options.seed, width });
  while (log.written().events < options.events) await log.append();
  await log.settled();
  log.end();
  return log.written();
}

/** A log that grows by one decision at a time, of `width` conversations that go on at once. */
export async function openLongLog(
  streams: Streams,
  vault: Vault,
  options: { readonly seed: number; readonly width: number },
): Promise<LongLog> {
  const { seed, width } = options;
  const random = seeded(seed);
  const appends = await pipelined(streams);
  const written = { events: 0, commits: 0, conversations: 0, bytes: 0 };
  const opened = (): Open => {
    written.conversations += 1;
    return begin(random, vault, begin_ms + written.events * 10);
  };
  const open = Array.from({ length: width }, opened);
  // Keys are asked for well before they are needed.
  const ahead = Array.from({ length: Math.ceil(width / 4) }, opened);
  /** The next decision of any of them. */
  const next = (): { one: Open; step: Step } => {
    for (;;) {
      const at = Math.floor(random() * width);
      const one = open[at];
      const { done, value: step } = one?.steps.next() ?? { done: true, value: undefined };
      if (one !== undefined && done !== true) return { one, step };
      open[at] = ahead.shift() ?? opened();
      ahead.push(opened());
    }
  };
  return {
    async append() {
      const { one, step } = next();
      one.at_ms += Math.ceil(step.after_ms);
      const draft: CommitDraft = {
        ...{ ref: one.ref, commit: idFrom(random, one.at_ms), command: idFrom(random, one.at_ms) },
        ...{ traceparent: null, by: step.by, at: new Date(one.at_ms).toISOString() },
        events: step.events,
      };
      const content = contentOf(draft.events);
      const bytes = encodeCommit(draft, one.head, content, content === null ? null : await one.key);
      if (appends.inFlight() >= in_flight_max) await appends.room(in_flight_max / 2);
      const sequence = appends.publish(draft, one.head, bytes);
      const events = draft.events.length;
      one.head = { revision: one.head.revision + events, sequence, hash: hashOf(bytes) };
      written.events += events;
      written.commits += 1;
      written.bytes += bytes.length;
      return { sequence, events };
    },
    settled: () => appends.room(0),
    written: () => ({ ...written }),
    end: () => appends.end(),
  };
}

function begin(random: Random, vault: Vault, at_ms: number): Open {
  const tenant = tenants[Math.floor(tenants.length * random() ** 2)] ?? tenants[0];
  const ref: ActorRef = { tenant, kind: "conversation", id: idFrom(random, at_ms) };
  const key = vault.key(ref, true);
  // Its failure is met where it is needed.
  key.catch(() => undefined);
  const owner = `user-${Math.floor(500 * random() ** 2)}`;
  const one: Open = {
    ...{ ref, key, head: empty_head, at_ms },
    steps: tale(random, owner, () => idFrom(random, one.at_ms)),
  };
  return one;
}

interface Appends {
  /** Sends it behind `head`; returns the sequence that it will have. */
  publish(draft: CommitDraft, head: Head, bytes: Uint8Array): number;
  inFlight(): number;
  /** Resolves when no more than so many are unanswered. Throws what the server refused. */
  room(in_flight: number): Promise<void>;
  end(): void;
}

/**
 * Publishes without waiting for the answer of the one before: nobody else writes, so each sequence is
 * known beforehand, and every answer is checked against it.
 */
async function pipelined({ nc, jsm }: Streams): Promise<Appends> {
  const inbox = `_INBOX.${crypto.randomUUID()}`;
  let { last_seq: sequence } = (await jsm.streams.info("EVENTS")).state;
  let answered = sequence;
  let problem: Error | null = null;
  let wake = (): void => undefined;
  const answers = nc.subscribe(inbox, {
    callback(_, message) {
      answered += 1;
      const text = message.string();
      if (!text.includes(`"seq":${answered}`)) problem ??= new Error(`not appended: ${text}`);
      wake();
    },
  });
  return {
    publish(draft, head, bytes) {
      const made = headers();
      made.set("Nats-Msg-Id", draft.commit);
      made.set("Nats-Expected-Last-Subject-Sequence", String(head.sequence));
      nc.publish(eventSubject(draft.ref), bytes, { headers: made, reply: inbox });
      return ++sequence;
    },
    inFlight: () => sequence - answered,
    async room(in_flight) {
      while (problem === null && sequence - answered > in_flight) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
      if (problem !== null) throw problem;
    },
    end: () => answers.unsubscribe(),
  };
}
