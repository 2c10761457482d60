/**
 * Erases an actor's content: its key, which covers the log for ever, and by subject whatever lies
 * beside the log. Safe to repeat and to be interrupted: the key goes first, and whoever begins again
 * finds the rest. What a removed message leaves in a file of the server is another matter:
 * `rewrite.ts`.
 */
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import type { ActorRef } from "../../schemas/ids.ts";
import {
  all_events,
  deadFilter,
  storedCommandFilter,
  timerFilter,
  tokenSubject,
} from "../../schemas/subjects.ts";
import { readBatch } from "../log/batches.ts";
import { openCommit } from "../log/codec.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { dropSnapshot } from "../log/snapshots.ts";
import { commands_stream, dead_stream, events_stream, tokens_stream } from "../topology.ts";
import { purgeFeed } from "../feed/feed.ts";
import type { Vault } from "./vault.ts";

/** Throws `AppError("unavailable")`: then it is to be called again. */
export async function eraseContent(streams: Streams, vault: Vault, ref: ActorRef): Promise<void> {
  await vault.erase(ref);
  try {
    await Promise.all([
      purge(streams, tokens_stream, tokenSubject(ref)),
      // Letters hold what was written as it was sent, and no key covers them.
      purge(streams, dead_stream, deadFilter(ref)),
      purgeFeed(streams, ref),
      purge(streams, commands_stream, timerFilter(ref)),
      dropSnapshot(streams, ref),
    ]);
  } catch (cause) {
    throw unavailable("Erased content cannot be removed everywhere", cause);
  }
}

/**
 * Removes the commands that wait for a deleted actor; how many it were. Only where nobody takes them:
 * each could only be refused, and a sender that repeats one is told so.
 */
export async function dropCommands(streams: Streams, ref: ActorRef): Promise<number> {
  try {
    return await purge(streams, commands_stream, storedCommandFilter(ref));
  } catch (cause) {
    throw unavailable("Commands cannot be removed", cause);
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

/** A deletion as the log tells of it. */
export interface Deletion {
  readonly ref: ActorRef;
  /** When it was decided. */
  readonly at: string;
  /** Its EVENTS sequence. */
  readonly sequence: number;
}

/** Every deletion in the log, in its order. Throws `AppError("unavailable")`, `DamagedCommit`. */
export async function* readDeletions(streams: Streams): AsyncGenerator<Deletion> {
  const mark = Buffer.from('.deleted"');
  for (let seq = 1; ;) {
    const { messages, more } = await readBatch(streams, events_stream, all_events, { seq }).catch(
      (cause: unknown) => {
        throw unavailable("The log cannot be read", cause);
      },
    );
    for (const message of messages) {
      seq = message.seq + 1;
      // Most commits need not be parsed.
      if (
        !Buffer.from(
          message.data.buffer,
          message.data.byteOffset,
          message.data.byteLength,
        ).includes(mark)
      )
        continue;
      const { stored, ref } = openCommit(
        message.data,
        { subject: message.subject, sequence: message.seq },
        null,
      );
      const deleted = stored.events.some(({ type }) => type === `${ref.kind}.deleted`);
      if (deleted) yield { ref, at: stored.at, sequence: message.seq };
    }
    if (!more || messages.length === 0) return;
  }
}
