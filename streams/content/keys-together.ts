/**
 * Many wrapped keys by one question to `KEYS`: a reader of the whole log meets new actors all the
 * time, and a round trip for each was a sixth of what reading cost (measured).
 *
 * Whatever replica answers may lag, and a marker is no key: only what it says is there counts, the
 * rest is asked of the leader by whoever called.
 */
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../connection.ts";
import { keys_bucket } from "../topology.ts";

/** Subjects of one question: the server refuses answers of more than 1,024 messages. */
const together_max = 512;
const prefix = `$KV.${keys_bucket}.`;

/** Resolves with the entries that were found, by their names in the bucket; never rejects. */
export type KeysTogether = (names: readonly string[]) => Promise<ReadonlyMap<string, Uint8Array>>;

export function keysTogether(streams: Streams): KeysTogether {
  // A server whose permissions do not let us ask so keeps silent, and would every time.
  let silent = false;
  return async (names) => {
    const found = new Map<string, Uint8Array>();
    // One alone is as quickly asked of the leader.
    for (let from = 0; from < names.length && names.length > 1 && !silent; from += together_max) {
      const some = names.slice(from, from + together_max);
      silent = !(await ask(streams, some, found).catch(() => true));
    }
    return found;
  };
}

/** Whether there was an answer, also one that says that it found nothing. */
function ask(
  streams: Streams,
  names: readonly string[],
  found: Map<string, Uint8Array>,
): Promise<boolean> {
  const asking = new Promise<boolean>((resolve, reject) => {
    const timer = setTimeout(() => resolve(false), limits.append_timeout_ms);
    const finish = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    streams.jsm.direct
      .getLastMessagesFor(`KV_${keys_bucket}`, {
        multi_last: names.map((name) => `${prefix}${name}`),
        batch: names.length,
        callback(done, message) {
          if (done !== null) return finish();
          const marker = message.header.get("KV-Operation") !== "";
          if (!marker) found.set(message.subject.slice(prefix.length), message.data);
        },
      })
      .catch(reject);
  });
  return streams.tracked(asking);
}
