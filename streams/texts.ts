/**
 * The texts of messages, by the sequence of the commit that holds them: state holds structure, not
 * text. A commit never changes, so what was read once is kept, the least recently used given up
 * past `texts_cached_bytes_max`.
 */
import type { Commit } from "../schemas/commit.ts";
import { AppError } from "../schemas/errors.ts";
import { isEnding } from "../schemas/events.ts";
import { type ActorRef, refKey } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Log } from "./log.ts";

/** A message, by the sequence of the commit that holds its text. */
export interface TextRef {
  readonly message: string;
  readonly sequence: number;
}

export interface Texts {
  /**
   * The texts, in the order asked for; "" for one whose content was erased. Throws
   * `AppError("unavailable")`, and `not_found` when a commit does not hold the message named.
   */
  read(ref: ActorRef, texts: readonly TextRef[]): Promise<string[]>;
}

/** Commits read at once for one path of messages. */
const reads_max = 32;
/** Keys and the map's own cost, beside two bytes a UTF-16 unit. */
const entry_bytes = 256;

export function textPort(log: Pick<Log, "at">): Texts {
  const cache = new Map<string, string>();
  let cached_bytes = 0;
  const size = (text: string): number => 2 * text.length + entry_bytes;

  const remember = (key: string, text: string): void => {
    if (cache.has(key) || size(text) > limits.texts_cached_bytes_max) return;
    cache.set(key, text);
    cached_bytes += size(text);
    for (const [oldest, { length }] of cache) {
      if (cached_bytes <= limits.texts_cached_bytes_max) break;
      cache.delete(oldest);
      cached_bytes -= 2 * length + entry_bytes;
    }
  };

  const readOne = async (ref: ActorRef, { message, sequence }: TextRef): Promise<string> => {
    const key = `${refKey(ref)}:${sequence}:${message}`;
    const known = cache.get(key);
    if (known !== undefined) {
      cache.delete(key);
      cache.set(key, known);
      return known;
    }
    const commit = await log.at(sequence);
    const text =
      commit === null || refKey(commit.ref) !== refKey(ref) ? null : textOf(commit, message);
    if (commit === null || text === null) {
      throw new AppError(
        "not_found",
        `The log holds no text of message ${message} at ${sequence}.`,
      );
    }
    // A blank may only mean that the key's marker is missing for a moment: ask again next time.
    if (!commit.erased) remember(key, text);
    return text;
  };

  return {
    async read(ref, texts) {
      const read: string[] = [];
      for (let at = 0; at < texts.length; at += reads_max) {
        const some = texts.slice(at, at + reads_max).map((text) => readOne(ref, text));
        read.push(...(await Promise.all(some)));
      }
      return read;
    },
  };
}

/** The text of a message in the commit that added it or ended its turn; null when it has none. */
export function textOf(commit: Commit, message: string): string | null {
  for (const event of commit.events) {
    const holds = event.type === "message.added" || isEnding(event.type);
    if (
      holds &&
      "text" in event.data &&
      "message" in event.data &&
      event.data.message === message
    ) {
      return event.data.text;
    }
  }
  return null;
}
