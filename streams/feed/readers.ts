/**
 * Durable readers of FEED. One for each webhook, for our own use: each keeps its place, its pending
 * events and their tries on the server, so whoever posts may die at any time. And one for each tenant
 * that reads its feed itself: made here, since whoever may make a consumer also says where on the
 * server it delivers, to whom it likes.
 */
import {
  AckPolicy,
  type Consumer,
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JsMsg,
} from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { limits } from "../../schemas/limits.ts";
import { feedOf } from "../../schemas/subjects.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { feed_stream } from "../topology.ts";

export interface FeedMessage {
  readonly subject: string;
  /** Its FEED sequence, and when it was told (ISO). */
  readonly sequence: number;
  readonly at: string;
  readonly json: string;
  /** 1 at the first try. */
  readonly deliveries: number;
  ack(): void;
  /** Again after `ms`. */
  retry(ms: number): void;
  /** Still at it. */
  working(): void;
}

export interface FeedReader {
  /** The next event; null when none came in `ms`. Rejects when the server is away. */
  next(ms: number): Promise<FeedMessage | null>;
}

export interface ReaderOptions {
  readonly name: string;
  /** Subjects that do not overlap. */
  readonly filters: readonly string[];
  /** What was told before (ISO) is not read. */
  readonly from: string;
  /** An event is given to another when whoever has it is not heard of for so long. */
  readonly ack_ms: number;
}

/** Makes the reader, or goes on with it. Throws `AppError("unavailable")`. */
export async function openFeedReader(
  streams: Streams,
  { name, filters, from, ack_ms }: ReaderOptions,
): Promise<FeedReader> {
  const { jsm, js } = streams;
  const wanted = {
    ...{ durable_name: name, ack_policy: AckPolicy.Explicit, filter_subjects: [...filters] },
    ...{ deliver_policy: DeliverPolicy.StartTime, opt_start_time: from },
    ack_wait: nanos(ack_ms),
    max_ack_pending: limits.webhook_unacked_max,
  };
  try {
    // Refused when it is there with other filters.
    await streams
      .tracked(jsm.consumers.add(feed_stream, wanted))
      .catch(() => streams.tracked(jsm.consumers.update(feed_stream, name, wanted)));
    const consumer: Consumer = await streams.tracked(js.consumers.get(feed_stream, name));
    return {
      async next(ms) {
        const message = await consumer.next({ expires: ms });
        return message === null ? null : messageOf(message);
      },
    };
  } catch (cause) {
    throw unavailable(`The reader ${name} of the feed could not be set up`, cause);
  }
}

const messageOf = (message: JsMsg): FeedMessage => ({
  ...{ subject: message.subject, sequence: message.seq, json: message.string() },
  at: message.time.toISOString(),
  deliveries: message.info.deliveryCount,
  ack: () => message.ack(),
  retry: (ms) => message.nak(ms),
  working: () => message.working(),
});

/**
 * Makes the reader that is named after a tenant, unless it is there; false when what is there is
 * another kind of consumer. Throws `AppError("unavailable")`.
 */
export async function makeTenantReader({ jsm }: Streams, tenant: string): Promise<boolean> {
  const filter = feedOf(tenant);
  try {
    const { config } = await jsm.consumers.info(feed_stream, tenant);
    return config.deliver_subject === undefined && config.filter_subject === filter;
  } catch (error) {
    const missing =
      error instanceof JetStreamApiError && error.code === JetStreamApiCodes.ConsumerNotFound;
    if (!missing) throw unavailable(`The reader ${tenant} of the feed cannot be seen`, error);
  }
  try {
    await jsm.consumers.add(feed_stream, {
      ...{ durable_name: tenant, filter_subject: filter, ack_policy: AckPolicy.Explicit },
    });
    return true;
  } catch (cause) {
    throw unavailable(`The reader ${tenant} of the feed could not be made`, cause);
  }
}

/** The names of the readers that begin so. Throws `AppError("unavailable")`. */
export async function feedReaders(streams: Streams, prefix: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of streams.jsm.consumers.list(feed_stream)) {
      if (name.startsWith(prefix)) names.push(name);
    }
    return names;
  } catch (cause) {
    throw unavailable("The readers of the feed cannot be listed", cause);
  }
}

/** Removes a reader; no error when there is none, or none can be reached: it is found again later. */
export async function dropFeedReader(streams: Streams, name: string): Promise<void> {
  await streams.tracked(streams.jsm.consumers.delete(feed_stream, name)).catch(() => undefined);
}
