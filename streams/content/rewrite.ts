/**
 * Rewrites a stream into new files: what was removed from a stream stays in its block files until
 * they are written anew, and no request makes the server do that. So the stream is mirrored, removed
 * and mirrored back: a mirror keeps every message as it is, with its sequence, time, subject and
 * headers (but for what it was expected to stand behind). Its consumers are gone afterwards.
 *
 * In between the stream exists only under another name, so this is for a copy of the store that
 * nobody else uses and that is thrown away when it is interrupted.
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { StreamConfig } from "@nats-io/jetstream";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { storeOf } from "../server.ts";

/** The name that a stream has in between; none of ours. */
const between = "REWRITTEN";
const look_ms = 20;
/** Without one message more, this long, it has failed. */
const standstill_ms = 30_000;

/** The streams of the server that lie on its disk. Throws `AppError("unavailable")`. */
export async function storedStreams(streams: Streams): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { config } of streams.jsm.streams.list()) {
      if (config.storage === "file") names.push(config.name);
    }
  } catch (cause) {
    throw unavailable("The streams cannot be listed", cause);
  }
  return names.sort();
}

/** Rewrites one; how many messages it holds. Throws `AppError("unavailable")`, and then it is lost. */
export async function rewriteStream(streams: Streams, name: string): Promise<number> {
  const { jsm } = streams;
  try {
    const { config, state } = await jsm.streams.info(name);
    if (state.messages === 0) {
      await jsm.streams.delete(name);
      await jsm.streams.add({ ...config, first_seq: state.last_seq + 1 });
      return 0;
    }
    const { storage, retention, discard, compression = "none", persist_mode } = config;
    await jsm.streams.add({ name: between, storage, mirror: { name } });
    // What is mirrored from a queue leaves it; what grows old leaves the others.
    const queue = retention === "workqueue";
    await filled(streams, between, queue ? async () => state.messages : () => held(streams, name));
    await promote(streams, { name: between, subjects: ["rewritten.nothing"] });
    await jsm.streams.delete(name);
    await jsm.streams.add({
      ...{ name, storage, retention, discard, compression, mirror: { name: between } },
      ...(persist_mode === undefined ? {} : { persist_mode }),
    });
    const copied = await filled(streams, name, () => held(streams, between));
    await promote(streams, config);
    await jsm.streams.delete(between);
    return copied;
  } catch (cause) {
    throw unavailable(`The stream ${name} cannot be rewritten`, cause);
  }
}

/**
 * Removes what the stopped server of a data folder remembers of a stream beside its messages, so that
 * it counts anew: a mirror counts no schedules, and the stream that it becomes believes that it holds
 * none (2.14.0, seen: timers that never fire).
 */
export function forgetCounts(folder: string, name: string): void {
  for (const file of ["index.db", "sched.db"]) {
    rmSync(join(storeOf(folder, name), "msgs", file), { force: true });
  }
}

const held = async (streams: Streams, name: string): Promise<number> =>
  (await streams.jsm.streams.info(name)).state.messages;

/** Makes a mirror a stream of its own. */
async function promote(
  streams: Streams,
  config: Partial<StreamConfig> & { readonly name: string },
): Promise<void> {
  // The client lays an update over what is there: what is to go is named and undefined.
  const update: Record<string, unknown> = { ...config, mirror: undefined };
  await streams.jsm.streams.update(config.name, update);
}

/** Resolves when a mirror holds what there is to hold; how much that is. */
async function filled(
  streams: Streams,
  mirror: string,
  wanted: () => Promise<number>,
): Promise<number> {
  let seen = -1;
  let since_ms = performance.now();
  for (;;) {
    const there = await held(streams, mirror);
    const all = await wanted();
    if (there >= all) return there;
    if (there > seen) since_ms = performance.now();
    else if (performance.now() - since_ms > standstill_ms) {
      throw new Error(`${mirror} holds ${there} of ${all} messages and gets no more`);
    }
    seen = there;
    await new Promise((resolve) => setTimeout(resolve, look_ms));
  }
}
