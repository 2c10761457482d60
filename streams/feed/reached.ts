/** How far the feed has come, as its publisher announces it, for whoever measures: a hint, never a proof. */
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../connection.ts";
import { announcePosition, followPositions } from "../live/positions.ts";

/** The lease of the publisher, and the name under which it announces. */
export const feed_name = "feed";

/** Announces that everything public up to an EVENTS sequence is in FEED. */
export const announceFeed = (streams: Streams, sequence: number): void =>
  announcePosition(streams, feed_name, sequence);

/** Follows it; `reached` is null while no publisher is heard of. */
export function followFeed(
  streams: Streams,
  clock: Clock,
): { reached(): number | null; stop(): void } {
  let reached = 0;
  let heard_ms = Number.NEGATIVE_INFINITY;
  const following = followPositions(streams, (name, sequence) => {
    if (name !== feed_name) return;
    reached = sequence;
    heard_ms = clock.now();
  });
  return {
    reached: () => (clock.now() - heard_ms < limits.worker_ttl_ms ? reached : null),
    stop: () => following.stop(),
  };
}
