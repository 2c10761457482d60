/**
 * Everything behind a sequence of EVENTS, then what comes, pulled as fast as it is taken and no
 * faster: at most `waiting_max` messages are here or on their way (I11). In order and without a hole:
 * at the first sign of one, or of a consumer that died without a word, it ends, and whoever reads
 * begins anew behind what they have.
 *
 * The client's own `consume` asks for more as soon as messages arrive, whether anybody takes them or
 * not (3.4.0, seen): a slow reader of a long log held all of it in memory.
 */
import { AckPolicy, DeliverPolicy } from "@nats-io/jetstream";
import { createInbox, type Msg, nanos } from "@nats-io/transport-node";
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../connection.ts";
import { events_stream } from "../topology.ts";

export interface Arrived {
  readonly sequence: number;
  readonly message: Msg;
}

export interface Pulling {
  /** Messages that were there when it began. */
  readonly pending: number;
  /**
   * What has come, in order, at most `most`; waits for the first, and then `gather_ms` for more.
   * Empty: it has ended.
   */
  take(most: number, gather_ms?: number): Promise<Arrived[]>;
  stop(): void;
}

/** Messages of one request, and of those that are here or on their way. */
const pull_messages = 1_024;
const waiting_max = 2 * pull_messages;
/** Bytes of one request; any single message fits. */
const pull_bytes = 2 * limits.message_bytes_max;
/** Two missed heartbeats, each half of this, and a consumer that died without a word is made anew. */
const idle_ms = 4_000;
/** A consumer that nobody pulls from, since its reader waits for a database, goes by itself. */
const inactive_ms = 60_000;

/**
 * Of all subjects, or those that match a `filter`. Rejects when the server does not make the consumer.
 */
export async function pullEvents(
  streams: Streams,
  after: number,
  filter?: string | readonly string[],
): Promise<Pulling> {
  const { nc, jsm } = streams;
  const name = `reader-${crypto.randomUUID()}`;
  const { num_pending } = await streams.tracked(
    jsm.consumers.add(events_stream, {
      ...{ name, ack_policy: AckPolicy.None, mem_storage: true, num_replicas: 1 },
      ...{ deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: after + 1 },
      ...(filter === undefined
        ? {}
        : typeof filter === "string"
          ? { filter_subject: filter }
          : { filter_subjects: [...filter] }),
      inactive_threshold: nanos(inactive_ms),
    }),
  );
  const inbox = createInbox();
  const next = `$JS.API.CONSUMER.MSG.NEXT.${events_stream}.${name}`;
  const request = JSON.stringify({
    ...{ batch: pull_messages, max_bytes: pull_bytes },
    ...{ expires: nanos(idle_ms), idle_heartbeat: nanos(idle_ms / 2) },
  });
  // A message is answered to `….<consumer>.<deliveries>.<stream sequence>.<delivery>.<…>`.
  const place = `.${name}.1.`;
  const waiting: Arrived[] = [];
  let delivered = 0;
  let owed = 0;
  let heard = true;
  let ended = false;
  let wake = (): void => undefined;

  const stop = (): void => {
    if (ended) return;
    ended = true;
    clearInterval(watch);
    subscription.unsubscribe();
    wake();
    // It would end by itself, too.
    if (!nc.isClosed()) jsm.consumers.delete(events_stream, name).catch(() => undefined);
  };
  const pull = (): void => {
    if (ended || owed + waiting.length > waiting_max - pull_messages) return;
    owed += pull_messages;
    nc.publish(next, request, { reply: inbox });
  };
  const hear = (message: Msg): void => {
    heard = true;
    if (message.subject === inbox) {
      const { code = 0, headers } = { code: message.headers?.code, headers: message.headers };
      if (code === 100) return;
      const left = headers?.get("Nats-Pending-Messages") ?? "";
      // A request that has ended; without that number, what ended is the consumer.
      if (left === "") stop();
      else owed -= Number(left);
    } else {
      const { reply = "" } = message;
      const at = reply.indexOf(place) + place.length;
      const end = reply.indexOf(".", at);
      delivered += 1;
      // One is missing, or this is no message of ours.
      if (!reply.startsWith(`${delivered}.`, end + 1)) return stop();
      owed -= 1;
      waiting.push({ sequence: Number(reply.slice(at, end)), message });
      wake();
    }
    if (owed <= pull_messages / 2) pull();
  };
  const subscription = nc.subscribe(inbox, {
    callback: (error, message) => (error === null ? hear(message) : stop()),
  });
  const watch = setInterval(() => {
    if (owed > 0 && !heard) stop();
    heard = false;
  }, idle_ms);
  pull();

  return {
    pending: num_pending,
    stop,
    async take(most, gather_ms = 0) {
      while (waiting.length === 0 && !ended) {
        await new Promise<void>((resolve) => (wake = resolve));
      }
      if (gather_ms > 0 && waiting.length < most && !ended) {
        await new Promise((resolve) => setTimeout(resolve, gather_ms));
      }
      const taken = waiting.splice(0, most);
      pull();
      return taken;
    },
  };
}
