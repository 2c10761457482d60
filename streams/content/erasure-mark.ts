/**
 * How far a list of erasures was applied to these keys. It lies among the keys themselves, so a
 * backup that is restored brings its own, and what was erased since is known to be missing.
 */
import { Kvm, type KV } from "@nats-io/kv";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { keys_bucket } from "../topology.ts";

/** No actor can have its name. */
const name = "erasures";

/** The text that was marked last; "" for none. Throws `AppError("unavailable")`. */
export async function readMark(streams: Streams): Promise<string> {
  try {
    const entry = await streams.tracked((await keys(streams)).get(name));
    return entry?.operation === "PUT" ? entry.string() : "";
  } catch (cause) {
    throw unavailable("The mark among the content keys cannot be read", cause);
  }
}

export async function writeMark(streams: Streams, text: string): Promise<void> {
  try {
    await streams.tracked((await keys(streams)).put(name, text));
  } catch (cause) {
    throw unavailable("The mark among the content keys cannot be written", cause);
  }
}

const keys = (streams: Streams): Promise<KV> =>
  new Kvm(streams.js).open(keys_bucket, { allow_direct: false });
