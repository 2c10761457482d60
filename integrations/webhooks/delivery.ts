/**
 * Delivers the feed to one webhook: one event after the other, each until it was taken, is a dead
 * letter, or its turn comes again: an event that failed is given back and does not hold up those
 * behind it. Where it stands is kept by its reader on the server, so nothing is lost when this process
 * dies; what was taken right before then is posted again, with the same id.
 */
import { type ActorRef, type Clock, isKind, isTenant, isUuid } from "../../schemas/ids.ts";
import { parseJson } from "../../schemas/validate.ts";
import type { WebhookDelivery } from "../../schemas/webhooks.ts";
import type { Streams } from "../../streams/connection.ts";
import type { FeedMessage, FeedReader } from "../../streams/feed/readers.ts";
import { buryEvent } from "../../streams/queue/dead-letters.ts";
import { post, type Posted } from "./post.ts";
import type { Memory } from "./memory.ts";
import type { Webhook } from "./registry.ts";
import type { Slots } from "./slots.ts";

export interface DeliveryParts {
  readonly streams: Streams;
  readonly clock: Clock;
  readonly slots: Slots;
  /** Whether private and loopback addresses may be posted to. */
  readonly anywhere: boolean;
  /** Those of `limits`, but for tests. */
  readonly timeout_ms: number;
  readonly retry_ms: readonly number[];
  readonly failing_ms: number;
  readonly ack_ms: number;
  /** It has failed for `failing_ms`. */
  readonly disable: (webhook: Webhook) => Promise<void>;
}

/** What is read of a CloudEvent here; null for what is none. */
function eventIn(
  json: string,
): { id: string; type: string; ref: ActorRef | null; of: unknown; sequence: number } | null {
  const value = parseJson(json);
  if (typeof value !== "object" || value === null) return null;
  const { id, type, subject, source, sequence, data }: Record<string, unknown> = { ...value };
  if (typeof id !== "string" || typeof type !== "string") return null;
  const [kind = "", actor = ""] = String(subject).split("/");
  const tenant = String(source).replace("/tenants/", "");
  const known = isTenant(tenant) && isKind(kind) && isUuid(actor);
  const payload =
    typeof data === "object" && data !== null && "payload" in data ? data.payload : null;
  const of =
    typeof payload === "object" && payload !== null && "webhook" in payload
      ? payload.webhook
      : null;
  return {
    id,
    type,
    ref: known ? { tenant, kind, id: actor } : null,
    of,
    sequence: Number(sequence),
  };
}

/** Until the signal. Rejects when the server is away: then it is begun anew. */
export async function deliver(
  parts: DeliveryParts,
  webhook: Webhook,
  reader: FeedReader,
  memory: Memory,
  signal: AbortSignal,
): Promise<void> {
  let leave = (): void => undefined;
  const left = (): void => leave();
  signal.addEventListener("abort", left, { once: true });
  try {
    while (!signal.aborted) {
      const taking = reader.next(poll_ms);
      // Not a race against one promise of the end: that would keep every message until then (I11).
      const message = await new Promise<FeedMessage | null>((resolve, reject) => {
        leave = () => resolve(null);
        taking.then(resolve, reject);
      });
      if (signal.aborted) {
        // What comes now is somebody else's.
        taking.then((late) => late?.retry(0)).catch(() => undefined);
        return;
      }
      if (message !== null) await deliverOne(parts, webhook, message, memory, signal);
    }
  } finally {
    signal.removeEventListener("abort", left);
  }
}
const poll_ms = 5_000;

async function deliverOne(
  parts: DeliveryParts,
  webhook: Webhook,
  message: FeedMessage,
  memory: Memory,
  signal: AbortSignal,
): Promise<void> {
  const { streams, clock, slots, retry_ms } = parts;
  const event = eventIn(message.json);
  // A test is for one webhook alone.
  const others = event?.type.startsWith("colloquy.webhook.tested.") && event.of !== webhook.id;
  const early = event !== null && event.sequence <= webhook.after;
  if (event === null || early || others === true) return message.ack();
  let cancel = (): void => undefined;
  const hold = (): void => {
    message.working();
    cancel = clock.after(parts.ack_ms / 3, hold);
  };
  hold();
  try {
    const release = await slots.take(webhook.tenant);
    const { url, secret } = webhook;
    const posting = { url, secret, id: event.id, body: message.json, now_ms: clock.now() };
    const posted = await post(posting, { ...parts, signal }).finally(release);
    if (signal.aborted && !posted.ok) return message.retry(0);
    const { deliveries } = message;
    const wait_ms = retry_ms[deliveries - 1];
    const outcome = posted.ok ? "delivered" : wait_ms === undefined ? "dead" : "failed";
    if (outcome === "dead") {
      const { ref } = event;
      await buryEvent(streams, message, { ref, webhook: webhook.id, reason: posted.reason });
    }
    if (outcome === "failed") message.retry(wait_ms ?? 0);
    else message.ack();
    memory.note(told(event, message, posted, outcome, clock));
    const since = memory.failingSince();
    if (since !== null && clock.now() - since >= parts.failing_ms) await parts.disable(webhook);
  } finally {
    cancel();
  }
}

const told = (
  { id, type }: { readonly id: string; readonly type: string },
  { deliveries }: FeedMessage,
  { status, reason }: Posted,
  outcome: WebhookDelivery["outcome"],
  clock: Clock,
): WebhookDelivery => ({
  ...{ event: id, type, try: deliveries, outcome, status, reason },
  at: new Date(clock.now()).toISOString(),
});
