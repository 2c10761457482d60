/**
 * FEED as its publisher writes it: exactly one message per public event, whatever crashes. Every
 * message expects the one before it, so of two publishers one is refused. Before each
 * batch lies a mark that says which events of the log follow it, one message each, and where the log
 * goes on behind them. So the last mark and the number of sequences behind it say where to go on:
 * they count what was stored, also when it has been purged since, and when the server lost its tail
 * (FEED is written behind), both are from what is there.
 *
 * Two marks lie there by turns: the older one stays until the newer one is surely behind it. They
 * hold no content, replace each other, and never grow old.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import type { FeedEvent } from "../../schemas/feed.ts";
import { feedMark, type LogPlace } from "../../schemas/feed-mark.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { feedFilter, feedMarkSubject, feedSubject } from "../../schemas/subjects.ts";
import { parseJson } from "../../schemas/validate.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { feed_stream } from "../topology.ts";

/** Where the feed stands. */
export interface FeedPosition {
  /** The event of the log to look at next; null when no mark is there: nothing was ever told. */
  readonly next: LogPlace | null;
  /** The last sequence of FEED. */
  readonly last: number;
  /** Which of the two marks is to be written next. */
  readonly turn: number;
  /** Whether it is on several servers. */
  readonly replicated: boolean;
}

/** An event on its way to FEED, and its place in the log. */
export interface Told {
  readonly place: LogPlace;
  readonly event: FeedEvent;
}

const content_type = "application/cloudevents+json; charset=utf-8";

/** Where to go on, as the leader knows it. Throws `AppError("unavailable")`. */
export async function readFeedPosition(streams: Streams): Promise<FeedPosition> {
  try {
    const { state, config } = await streams.tracked(streams.jsm.streams.info(feed_stream));
    const last = state.last_seq;
    const replicated = config.num_replicas > 1;
    const marks = await Promise.all(
      [0, 1].map((turn) =>
        streams.tracked(
          streams.jsm.streams.getMessage(feed_stream, { last_by_subj: feedMarkSubject(turn) }),
        ),
      ),
    );
    const turn = (marks[1]?.seq ?? 0) > (marks[0]?.seq ?? 0) ? 1 : 0;
    const mark = marks[turn];
    if (mark === null || mark === undefined) return { next: null, last, turn: 0, replicated };
    if (mark.seq > last) throw new Error("somebody else writes there");
    const parsed = feedMark.parse(parseJson(mark.string()));
    if (!parsed.ok) throw new Error(`the mark at FEED sequence ${mark.seq}: ${parsed.problem}`);
    const { events, next } = parsed.value;
    return { next: events[last - mark.seq] ?? next, last, turn: turn + 1, replicated };
  } catch (cause) {
    throw unavailable("The feed's position cannot be read", cause);
  }
}

/**
 * Appends a mark and the events, all on their way at once, and gives the position behind them, from
 * which the log goes on at `next`. Throws `AppError("unavailable")` when any of it was refused or
 * nobody knows: then the position is to be read again, since a part of it may be stored.
 *
 * Each message expects to come right behind the one before it, by the id of that one: by its sequence
 * alone, an event whose mark was refused could fall in behind another's mark and be counted as its. A
 * cluster that refuses an id has lost its leader for a while (seen with 2.14), so there the events wait
 * until their mark is stored.
 */
export async function appendToFeed(
  streams: Streams,
  { last, turn, replicated }: FeedPosition,
  told: readonly Told[],
  next: LogPlace,
): Promise<FeedPosition> {
  const mark = JSON.stringify({ v: 1, events: told.map(({ place }) => place), next });
  const append = crypto.randomUUID();
  /** The message of this append at that place. */
  const publish = (at: number, subject: string, json: string, made: MsgHdrs) => {
    const chained = at > 0 && !replicated;
    return streams.tracked(
      streams.js.publish(subject, json, {
        ...{ headers: made, timeout: limits.append_timeout_ms },
        ...(replicated ? {} : { msgID: `${append}:${at}` }),
        expect: {
          lastSequence: last + at,
          ...(chained ? { lastMsgID: `${append}:${at - 1}` } : {}),
        },
      }),
    );
  };
  try {
    const marked = publish(0, feedMarkSubject(turn), mark, markHeaders());
    if (replicated) await marked;
    const events = told.map(({ event }, at) =>
      publish(at + 1, event.subject, event.json, eventHeaders(event)),
    );
    // All of them have an answer, before anybody reads where it stands now.
    const results = await Promise.allSettled([marked, ...events]);
    for (const result of results) if (result.status === "rejected") throw result.reason;
  } catch (cause) {
    throw unavailable("The feed cannot be written", cause);
  }
  return { next, last: last + 1 + told.length, turn: turn + 1, replicated };
}

function markHeaders(): MsgHdrs {
  const made = headers();
  made.set("Nats-Rollup", "sub");
  made.set("Nats-TTL", "never");
  return made;
}

function eventHeaders({ id, type }: FeedEvent): MsgHdrs {
  const made = headers();
  made.set("Content-Type", content_type);
  // For whoever looks at headers only, as the HTTP binding's binary mode names them.
  made.set("ce-id", id);
  made.set("ce-type", type);
  return made;
}

/**
 * Removes what the feed holds of an actor, but for the news that it was deleted, which whoever keeps
 * copies must still be told. Rejects when it is not all gone.
 */
export async function purgeFeed(streams: Streams, ref: ActorRef): Promise<void> {
  const { jsm } = streams;
  const asking = jsm.streams.info(feed_stream, { subjects_filter: feedFilter(ref) });
  const found = await streams.tracked(asking).catch((error: unknown) => {
    // No feed, nothing in it.
    if (error instanceof Error && error.message === "stream not found") return null;
    throw error;
  });
  const news = feedSubject(ref, `${ref.kind}.deleted`);
  for (const filter of Object.keys(found?.state.subjects ?? {})) {
    if (filter !== news) await streams.tracked(jsm.streams.purge(feed_stream, { filter }));
  }
}
