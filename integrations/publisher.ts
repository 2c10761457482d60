/**
 * The publisher of the feed: reads the log in its order and appends what is public to FEED, exactly
 * one message per event (`streams/feed/feed.ts` says how). A lease elects one; two at once are
 * harmless, since each append expects the last sequence. What cannot be written is tried again for
 * ever: nothing is skipped but a commit that nobody can read, which is reported.
 *
 * What belongs to a deleted conversation is removed before its deletion is told, so nothing of it
 * stays, however far the publisher was behind when it was deleted.
 */
import { AppError } from "../schemas/errors.ts";
import type { LogPlace } from "../schemas/feed-mark.ts";
import type { Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Streams } from "../streams/connection.ts";
import type { Vault } from "../streams/content/vault.ts";
import { appendToFeed, purgeFeed, readFeedPosition } from "../streams/feed/feed.ts";
import { makeTenantReader } from "../streams/feed/readers.ts";
import { announceFeed, feed_name } from "../streams/feed/reached.ts";
import type { Log } from "../streams/log/log.ts";
import { readBatches } from "../streams/log/reader.ts";
import { sequenceAt } from "../streams/proof/when.ts";
import { feed_age_ms } from "../streams/topology.ts";
import { type DutyParts, holdDuty } from "./duty.ts";
import { chunksOf, isDeletion, type Owners, ownersOf, publicOf } from "./public-events.ts";

export interface PublisherOptions extends DutyParts {
  readonly vault: Vault;
  readonly log: Log;
  /** Tenants that read their feed themselves. */
  readonly readers?: readonly string[];
}

export interface Publisher {
  /** The EVENTS sequence up to which everything public is told; 0 while it is not ours to tell. */
  reached(): number;
  stop(): Promise<void>;
}

/** Throws `AppError("unavailable")` when the leases cannot be reached. */
export async function startPublisher(options: PublisherOptions): Promise<Publisher> {
  const { streams, clock } = options;
  const owners = ownersOf(options.log);
  let reached = 0;
  const duty = await holdDuty(options, {
    lease: feed_name,
    trouble: "the feed could not be written; it is tried again",
    run: (signal, well) =>
      publish(options, owners, signal, (sequence) => {
        well();
        reached = sequence;
        announceFeed(streams, sequence);
      }),
    idle() {
      reached = 0;
    },
  });
  /** Gateways that came later learn it, too. */
  const beat = (): void => {
    if (reached > 0) announceFeed(streams, reached);
    cancelBeat = clock.after(limits.worker_beat_ms, beat);
  };
  let cancelBeat = clock.after(limits.worker_beat_ms, beat);
  return {
    reached: () => reached,
    async stop() {
      await duty.stop();
      cancelBeat();
    },
  };
}

/** Tells what comes until the signal; whatever breaks is thrown, and then it begins anew. */
async function publish(
  { streams, vault, log, clock, report, readers = [] }: PublisherOptions,
  owners: Owners,
  signal: AbortSignal,
  tell: (sequence: number) => void,
): Promise<void> {
  for (const tenant of readers) {
    if (await makeTenantReader(streams, tenant)) continue;
    const what = `the consumer ${tenant} of FEED is no reader of that tenant's feed; remove it, and it is made anew`;
    report({ what });
  }
  let position = await readFeedPosition(streams);
  const begin = position.next ?? (await beginning(streams, log, clock));
  const end = await log.lastSequence();
  if (end < begin.sequence - 1) {
    const why = `The log ends at ${end}, but the feed has told it up to ${begin.sequence - 1}.`;
    throw new AppError("unavailable", why);
  }
  let marked = begin.sequence;
  tell(begin.sequence - 1);
  const gather_ms = limits.feed_gather_ms;
  const reading = { after: begin.sequence - 1, signal, hashes: "last", gather_ms } as const;
  for await (const batch of readBatches(streams, vault, reading)) {
    const chunks = chunksOf(await publicOf(batch, begin, owners, report));
    const behind: LogPlace = { sequence: (batch.at(-1)?.sequence ?? 0) + 1, index: 0 };
    // So that a start does not read again what has nothing public in it.
    const due = behind.sequence - marked > limits.feed_unmarked_commits;
    if (chunks.length === 0 && due) chunks.push([]);
    for (const [at, chunk] of chunks.entries()) {
      if (signal.aborted) return;
      const [first] = chunk;
      if (first !== undefined && isDeletion(first)) await purgeFeed(streams, first.ref);
      const next = chunks[at + 1]?.[0]?.place ?? behind;
      position = await appendToFeed(streams, position, chunk, next);
      marked = next.sequence;
    }
    tell(behind.sequence - 1);
  }
}

/**
 * Where a feed begins that never told anything: with what is as young as what it keeps, since nobody
 * wants years of history at once.
 */
async function beginning(streams: Streams, log: Log, clock: Clock): Promise<LogPlace> {
  const last = await log.lastSequence();
  return { sequence: await sequenceAt(streams, clock.now() - feed_age_ms, last), index: 0 };
}
