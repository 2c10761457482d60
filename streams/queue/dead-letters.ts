/**
 * Dead letters: what could not be handled, as it was, with the reason. A message leaves the queue
 * only when its copy here is stored (I1). `letters.ts` reads them.
 */
import type { JsMsg } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import type { ErrorCode } from "../../schemas/errors.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { deadSubject } from "../../schemas/subjects.ts";
import type { Streams } from "../connection.ts";
import type { FeedMessage } from "../feed/readers.ts";
import { commands_stream, feed_stream } from "../topology.ts";

/**
 * Headers of the original that are kept, under `Original-…`, so that none of them acts again. Those of
 * the server are not: a message id would let the next window swallow what is sent again.
 */
export const kept_header = /^(colloquy-[a-z-]+|traceparent)$/i;
const header_chars_max = 4_096;
/** What the headers of a dead letter may take beside its payload. */
const headers_bytes_max = 128 * 1024;

/** Why a message is dead, and what is known of it. */
export interface Verdict {
  readonly ref: ActorRef | null;
  /** The command's id; null when it cannot be read. */
  readonly id: string | null;
  readonly code: ErrorCode;
  readonly reason: string;
}

/**
 * Stores a copy of the message in DEAD: the payload as it was, the rest in headers `Colloquy-Code`,
 * `-Reason`, `-Command`, `-Subject`, `-Sequence`, `-Stored`, `-Deliveries` and `Original-…`. Rejects
 * when it is not stored.
 */
export async function bury(
  streams: Streams,
  message: JsMsg,
  { ref, id, code, reason }: Verdict,
): Promise<void> {
  const { subject, data, seq, info } = message;
  const made = headers();
  if (id !== null) made.set("Colloquy-Command", id);
  made.set("Colloquy-Code", code);
  made.set("Colloquy-Reason", oneLine(reason));
  made.set("Colloquy-Subject", oneLine(subject));
  made.set("Colloquy-Sequence", String(seq));
  made.set("Colloquy-Stored", isoOf(message.timestampNanos));
  made.set("Colloquy-Deliveries", String(info.deliveryCount));
  for (const name of message.headers?.keys() ?? []) {
    if (kept_header.test(name))
      made.set(`Original-${name}`, oneLine(message.headers?.get(name) ?? ""));
  }
  const payload = data.subarray(0, limits.message_bytes_max - headers_bytes_max);
  if (payload.length < data.length) made.set("Colloquy-Truncated", String(data.length));
  const options = {
    headers: made,
    // The same message buried twice is one letter; its time tells it from a stream made anew.
    msgID: `${commands_stream}:${seq}:${message.timestampNanos}`,
    timeout: limits.append_timeout_ms,
  };
  await streams.tracked(streams.js.publish(deadSubject("commands", ref), payload, options));
}

/**
 * Stores an event of the feed that a webhook did not take. It lies with the letters of the actor that
 * it tells of, so that it is erased with that. Rejects when it is not stored.
 */
export async function buryEvent(
  streams: Streams,
  { subject, json, sequence, at, deliveries }: FeedMessage,
  { ref, webhook, reason }: { ref: ActorRef | null; webhook: string; reason: string },
): Promise<void> {
  const made = headers();
  made.set("Colloquy-Code", "webhook_failed" satisfies ErrorCode);
  made.set("Colloquy-Reason", oneLine(reason));
  made.set("Colloquy-Subject", oneLine(subject));
  made.set("Colloquy-Sequence", String(sequence));
  made.set("Colloquy-Stored", at);
  made.set("Colloquy-Deliveries", String(deliveries));
  made.set("Colloquy-Webhook", webhook);
  const msgID = `${feed_stream}:${webhook}:${sequence}:${at}`;
  const options = { headers: made, msgID, timeout: limits.append_timeout_ms };
  await streams.tracked(streams.js.publish(deadSubject("webhooks", ref), json, options));
}

const isoOf = (nanos: bigint): string => new Date(Number(nanos / 1_000_000n)).toISOString();

const oneLine = (text: string): string =>
  text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, header_chars_max);
