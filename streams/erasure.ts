/**
 * Erases an actor's content: its key, which covers the log for ever, and by subject whatever lies
 * beside the log. Safe to repeat and to be interrupted: the key goes first, and whoever begins again
 * finds the rest. What a removed message leaves in a file of the server is another matter:
 * `rewrite.ts`.
 */
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import type { ActorRef } from "../schemas/ids.ts";
import { deadFilter, feedFilter, timerFilter, tokenSubject } from "../schemas/subjects.ts";
import type { Streams } from "./connection.ts";
import { unavailable } from "./faults.ts";
import { dropSnapshot } from "./snapshots.ts";
import { commands_stream, dead_stream, feed_stream, tokens_stream } from "./topology.ts";
import type { Vault } from "./vault.ts";

/** Throws `AppError("unavailable")`: then it is to be called again. */
export async function eraseContent(streams: Streams, vault: Vault, ref: ActorRef): Promise<void> {
  await vault.erase(ref);
  try {
    await Promise.all([
      purge(streams, tokens_stream, tokenSubject(ref)),
      // Letters hold what was written as it was sent, and no key covers them.
      purge(streams, dead_stream, deadFilter(ref)),
      purge(streams, feed_stream, feedFilter(ref)),
      purge(streams, commands_stream, timerFilter(ref)),
      dropSnapshot(streams, ref),
    ]);
  } catch (cause) {
    throw unavailable("Erased content cannot be removed everywhere", cause);
  }
}

async function purge(streams: Streams, stream: string, filter: string): Promise<number> {
  try {
    return (await streams.tracked(streams.jsm.streams.purge(stream, { filter }))).purged;
  } catch (error) {
    const missing =
      error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
    if (missing) return 0;
    throw error;
  }
}
