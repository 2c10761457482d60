/**
 * What of the log is told in the feed, in the order of the log and in bounded batches, and under
 * whose name: what a worker reports of an answer is told under that of whose conversation it is.
 */
import type { Commit } from "../schemas/commit.ts";
import type { LogPlace } from "../schemas/feed-mark.ts";
import { feedEvent } from "../schemas/feed.ts";
import { type ActorRef, refKey } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { DamagedCommit } from "../streams/faults.ts";
import type { Told } from "../streams/feed/feed.ts";
import type { Log } from "../streams/log/log.ts";
import type { Logged } from "../streams/log/reader.ts";
import { Recent } from "../streams/log/recent.ts";

/** What is public in a batch of the log, from `begin` on. */
export async function publicOf(
  batch: readonly Logged[],
  begin: LogPlace,
  owners: Owners,
  report: (problem: { what: string; ref?: ActorRef }) => void,
): Promise<Public[]> {
  const found: Public[] = [];
  for (const logged of batch) {
    const { ref, sequence } = logged;
    if ("undecodable" in logged) {
      report({ what: `the feed cannot tell what EVENTS sequence ${sequence} says`, ref });
      continue;
    }
    const owner = await owners.of(logged);
    const from = sequence === begin.sequence ? begin.index : 0;
    for (let index = from; index < logged.events.length; index++) {
      const event = feedEvent(logged, index, owner);
      if (event !== null) found.push({ ref, place: { sequence, index }, event });
    }
  }
  return found;
}

/** A public event on its way, and whose it is. */
export interface Public extends Told {
  readonly ref: ActorRef;
}

/** One must not be told before what was told of its actor is gone. */
export const isDeletion = ({ ref, event }: Public): boolean => event.name === `${ref.kind}.deleted`;

/** Bounded batches; one that begins with a deletion has to be told when all before it is. */
export function chunksOf(told: readonly Public[]): Public[][] {
  const chunks: Public[][] = [];
  let chars = 0;
  for (const one of told) {
    const last = chunks.at(-1);
    chars += one.event.json.length;
    const full =
      last === undefined ||
      last.length === limits.feed_batch_events ||
      chars > limits.feed_batch_chars ||
      isDeletion(one);
    if (full) {
      chunks.push([one]);
      chars = one.event.json.length;
    } else last.push(one);
  }
  return chunks;
}

/** Whose conversations they are. */
export interface Owners {
  /** The user; null for none. */
  of(commit: Commit): Promise<string | null>;
}

export function ownersOf(log: Log): Owners {
  const known = new Recent<string | null>(limits.feed_owners_cached_max);
  const ownerIn = ({ events }: Commit): string | null => {
    const [first] = events;
    return first?.type === "conversation.started" ? first.data.owner : null;
  };
  return {
    async of(commit) {
      const { ref, by } = commit;
      if (ref.kind !== "conversation") return null;
      const key = refKey(ref);
      const found = commit.revision === 1 ? ownerIn(commit) : known.get(key);
      if (found !== undefined) {
        if (commit.revision === 1) known.set(key, found);
        return found;
      }
      // Whoever did it themselves is named already.
      if (by.type === "user") return null;
      const first = await log.first(ref).catch((error: unknown) => {
        if (error instanceof DamagedCommit) return null;
        throw error;
      });
      const owner = first === null ? null : ownerIn(first);
      known.set(key, owner);
      return owner;
    },
  };
}
