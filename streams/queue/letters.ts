/**
 * The dead letters as an operator handles them: read, sent again, dropped. What lies there came from
 * strangers, so every part is checked again before it becomes a subject or a header. A letter that is
 * sent again keeps its command's id and leaves DEAD only when the queue has it: an interruption in
 * between sends it twice at worst, and it takes effect once (I2).
 */
import { JetStreamApiError, type StoredMsg } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { isReply, type Reply } from "../../schemas/commands.ts";
import { AppError } from "../../schemas/errors.ts";
import { type ActorRef, isUuid, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import {
  commandSubject,
  deadFilter,
  mayReplyTo,
  parseDeadSubject,
  parseStoredCommand,
  replySubject,
} from "../../schemas/subjects.ts";
import { parseJson } from "../../schemas/validate.ts";
import { readBatch } from "../log/batches.ts";
import { reply_header } from "./commands.ts";
import type { Streams } from "../connection.ts";
import { kept_header } from "./dead-letters.ts";
import { unavailable } from "../faults.ts";
import { follow } from "../live/following.ts";
import { dead_stream } from "../topology.ts";

export interface Letter {
  /** Its place in DEAD. */
  readonly sequence: number;
  /** When it was buried. */
  readonly at: string;
  /** Whose it is; null when it names no actor. */
  readonly ref: ActorRef | null;
  /** The command's name and id, where they can be read. */
  readonly name: string | null;
  readonly command: string | null;
  /** Its subject and sequence in COMMANDS, and when it was stored there. */
  readonly subject: string;
  readonly stored: { readonly sequence: number; readonly at: string } | null;
  readonly code: string;
  readonly reason: string;
  readonly deliveries: number;
  /** Of the original; more than there is of `payload` when that had to be cut. */
  readonly bytes: number;
  /** Those of the original that mean something to us. */
  readonly headers: Readonly<Record<string, string>>;
  readonly payload: Uint8Array;
  /** Why it cannot be sent again; null when it can. */
  readonly stuck: string | null;
}

/** The letters of a tenant, or all, oldest first, up to what is there now; `left` are behind each. */
export async function* readLetters(
  streams: Streams,
  tenant: string | null,
): AsyncGenerator<{ readonly letter: Letter; readonly left: number }> {
  const end = await lastLetter(streams);
  for (let next = 1; next <= end;) {
    const from = { seq: next };
    const batch = await asked(() => readBatch(streams, dead_stream, deadFilter(tenant), from));
    for (const message of batch.messages) {
      if (message.seq > end) return;
      next = message.seq + 1;
      yield { letter: letterOf(message), left: message.pending };
    }
    if (batch.messages.length === 0) return;
  }
}

/** The letter at a sequence of DEAD; null when none is there, or not one of this tenant. */
export async function letterAt(
  streams: Streams,
  tenant: string | null,
  sequence: number,
): Promise<Letter | null> {
  if ((await lastLetter(streams)) < sequence || sequence < 1) return null;
  const message = await asked(() =>
    streams.tracked(streams.jsm.streams.getMessage(dead_stream, { seq: sequence })),
  );
  const letter = message === null ? null : letterOf(message);
  return tenant === null || letter?.ref?.tenant === tenant ? letter : null;
}

/**
 * Sends a letter's command again, as it was, and removes the letter. Its answer, or null when none
 * came in `wait_ms`: then it waits in the queue. `inbox` is where it is answered when its sender did
 * not ask for an answer. Throws `AppError`: `bad_request` for one that is stuck, `unavailable`.
 */
export async function resend(
  streams: Streams,
  letter: Letter,
  options: { readonly inbox: string; readonly wait_ms: number },
): Promise<Reply | null> {
  const target = parseStoredCommand(letter.subject);
  if (target === null || letter.stuck !== null) {
    throw new AppError("bad_request", letter.stuck ?? "its subject is not that of a command");
  }
  const { ref, name } = target;
  const made = headers();
  for (const [header, value] of Object.entries(letter.headers)) made.set(header, value);
  const reply = letter.headers[reply_header] ?? replySubject(ref.tenant, options.inbox);
  made.set(reply_header, reply);
  const heard = answerOn(streams, reply, letter.command);
  try {
    if (options.wait_ms > 0) await heard.ready;
    // No message id: the queue's window must not swallow it.
    const publishing = { headers: made, timeout: limits.append_timeout_ms };
    await asked(() =>
      streams.tracked(streams.js.publish(commandSubject(ref, name), letter.payload, publishing)),
    );
    await dropLetter(streams, letter.sequence);
    return await heard.within(options.wait_ms);
  } finally {
    heard.stop();
  }
}

/** Removes a letter for ever; no error when it is gone already. */
export async function dropLetter(streams: Streams, sequence: number): Promise<void> {
  try {
    await streams.tracked(streams.jsm.streams.deleteMessage(dead_stream, sequence, true));
  } catch (cause) {
    const gone = cause instanceof JetStreamApiError && /no message found/i.test(cause.message);
    if (!gone) throw unavailable("The dead letters cannot be changed", cause);
  }
}

/** Removes all letters of an actor or a tenant, or all there are now; how many it were. */
export async function dropLetters(streams: Streams, of: ActorRef | string | null): Promise<number> {
  const end = await lastLetter(streams);
  if (end === 0) return 0;
  const purging = { filter: deadFilter(of), seq: end + 1 };
  return asked(
    async () => (await streams.tracked(streams.jsm.streams.purge(dead_stream, purging))).purged,
  );
}

/** The last sequence of DEAD; 0 when there never was a letter. */
async function lastLetter(streams: Streams): Promise<number> {
  try {
    return (await streams.tracked(streams.jsm.streams.info(dead_stream))).state.last_seq;
  } catch (cause) {
    if (cause instanceof Error && cause.message === "stream not found") return 0;
    throw unavailable("The dead letters cannot be read", cause);
  }
}

async function asked<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (cause) {
    throw unavailable("The dead letters cannot be handled", cause);
  }
}

const original = "Original-";

function letterOf({ subject: where, seq, time, header, data }: StoredMsg): Letter {
  const text = (name: string): string => header.get(`Colloquy-${name}`);
  const count = (name: string): number => {
    const value = Number(text(name) || Number.NaN);
    return Number.isSafeInteger(value) && value >= 0 ? value : 0;
  };
  const there = parseDeadSubject(where);
  const subject = text("Subject");
  const target = parseStoredCommand(subject);
  const stored_at = text("Stored");
  const command = text("Command") || idIn(data);
  const truncated = count("Truncated");
  const kept: [string, string][] = [...header.keys()].flatMap((name) => {
    const bare = name.startsWith(original) ? name.slice(original.length) : "";
    return kept_header.test(bare) ? [[bare, header.get(name)]] : [];
  });
  const headers_kept = Object.fromEntries(kept);
  const reply = headers_kept[reply_header];
  const ref = there?.ref ?? null;
  const stuck = (): string | null => {
    if (there?.origin === "webhooks") {
      return `it is an event for webhook ${text("Webhook")}: have the webhook told again since then (docs/INTEGRATIONS.md)`;
    }
    if (there?.origin !== "commands") return "it is no command";
    if (target === null) return "its subject is not that of a command";
    if (ref === null || refKey(target.ref) !== refKey(ref))
      return "its subject names another actor";
    if (truncated > data.length) return "it was too large to be kept whole";
    if (!isUuid(command)) return "its payload is not that of a command";
    return reply !== undefined && !mayReplyTo(ref.tenant, reply)
      ? "its answer would go to a subject that is not its tenant's"
      : null;
  };
  return {
    ...{ sequence: seq, at: time.toISOString(), ref, subject, payload: data, stuck: stuck() },
    ...{ code: text("Code") || "unknown", reason: text("Reason"), deliveries: count("Deliveries") },
    name: target?.name ?? null,
    command: isUuid(command) ? command : null,
    stored: stored_at === "" ? null : { sequence: count("Sequence"), at: stored_at },
    bytes: Math.max(truncated, data.length),
    headers: headers_kept,
  };
}

/** The id in a command's payload; "" when there is none. */
function idIn(payload: Uint8Array): string {
  const value = parseJson(Buffer.from(payload).toString());
  const id = typeof value === "object" && value !== null && "id" in value ? value.id : null;
  return typeof id === "string" ? id : "";
}

/** Listens for the answer to a command; one that cannot be heard is none. */
function answerOn(
  streams: Streams,
  subject: string,
  command: string | null,
): { readonly ready: Promise<void>; within(ms: number): Promise<Reply | null>; stop(): void } {
  let hear: (reply: Reply | null) => void = () => undefined;
  const heard = new Promise<Reply | null>((resolve) => (hear = resolve));
  const following = follow(
    streams,
    subject,
    ({ data }) => {
      const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString();
      const value = parseJson(text);
      if (isReply(value) && value.command === command) hear(value);
    },
    () => hear(null),
  );
  return {
    ready: following.ready,
    async within(ms) {
      const timer = setTimeout(() => hear(null), ms);
      const reply = await heard;
      clearTimeout(timer);
      return reply;
    },
    stop: () => following.stop(),
  };
}
