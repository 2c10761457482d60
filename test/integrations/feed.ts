/** A feed under test: publishers that a test starts and stops, and what FEED holds. */
import { CloudEvent, type CloudEventV1, HTTP } from "cloudevents";
import { expect } from "vitest";
import { type Publisher, startPublisher } from "../../integrations/publisher.ts";
import { empty_head, type Head } from "../../schemas/commit.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import { feedEvent } from "../../schemas/feed.ts";
import { type ActorRef, type By, type Clock, systemClock } from "../../schemas/ids.ts";
import type { Streams } from "../../streams/connection.ts";
import { readBatch } from "../../streams/log/batches.ts";
import type { Log } from "../../streams/log/log.ts";
import { all, type Client, draft } from "../streams/system.ts";

export interface Told {
  readonly seq: number;
  readonly subject: string;
  readonly text: string;
  /** As the CloudEvents package reads it. */
  readonly event: CloudEventV1<Data>;
}
interface Data {
  readonly timestamp: string;
  readonly tenant_id: string;
  readonly user_id: string | null;
  readonly event_type: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** All that FEED holds of the events, oldest first. */
export async function told(streams: Streams, filter = "feed.>"): Promise<Told[]> {
  const found: Told[] = [];
  for (let seq = 1; ;) {
    const { messages, more } = await readBatch(streams, "FEED", filter, { seq });
    for (const message of messages) {
      const text = message.string();
      found.push({ seq: message.seq, subject: message.subject, text, event: cloudEvent(text) });
      seq = message.seq + 1;
    }
    if (!more) return found;
  }
}

/** Throws for what is no valid CloudEvent in the JSON format. */
export function cloudEvent(body: string): CloudEventV1<Data> {
  const headers = { "content-type": "application/cloudevents+json" };
  const parsed = HTTP.toEvent<Data>({ headers, body });
  if (Array.isArray(parsed)) throw new Error("one event, not a batch");
  return new CloudEvent(parsed, true);
}

/** The ids that the public events among `events` have; `from` is the revision of the first. */
export const ids = (found: readonly Told[]): string[] => found.map(({ event }) => event.id);

/** The ids of what is public in the log of these actors, in the order in which it must be told. */
export async function publicIds(log: Log, refs: readonly ActorRef[]): Promise<string[]> {
  const found: { id: string; sequence: number }[] = [];
  for (const ref of refs) {
    for (const commit of await all(log.read(ref, empty_head))) {
      for (const index of commit.events.keys()) {
        const one = feedEvent(commit, index, null);
        if (one !== null) found.push({ id: one.id, sequence: commit.sequence });
      }
    }
  }
  return found.toSorted((a, b) => a.sequence - b.sequence).map(({ id }) => id);
}

/** A publisher of its own; `holder` twice makes two that publish at once. */
export function publisherOn(
  { streams, vault, log }: Client,
  holder: string,
  problems: string[] = [],
  clock: Clock = systemClock,
  readers: readonly string[] = [],
): Promise<Publisher> {
  return startPublisher({
    ...{ streams, vault, log, holder, clock, readers },
    report: ({ what, error }) =>
      problems.push(error instanceof Error ? `${what} ${error.message}` : what),
  });
}

/** Appends to an actor, commit after commit. */
export function line(client: Client, ref: ActorRef, by: By = { type: "user", id: "ann" }) {
  let head: Head = empty_head;
  return {
    ref,
    async say(...events: DomainEvent[]): Promise<number> {
      const appended = await client.log.append({ ...draft(ref, events), by }, head);
      if (!appended.ok) throw new Error("another commit stands there");
      head = appended.head;
      return head.sequence;
    },
  };
}

/** Until the publisher has told everything up to a sequence. */
export const reached = (publisher: Publisher, sequence: number): Promise<void> =>
  expect.poll(() => publisher.reached(), { interval: 10 }).toBe(sequence);
