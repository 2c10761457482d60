/**
 * The texts of messages, by the sequence of the commit that holds them: state holds structure, not
 * text. A commit never changes, so what was read once is kept, the least recently used given up
 * past `texts_cached_bytes_max`. Those of an actor whose content is erased are given up at once.
 */
import type { Commit } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import { isEnding } from "../../schemas/events.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
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
  /** Keeps the texts of a commit that was just appended: they are read back soon. */
  remember(commit: Commit): void;
  /** Gives up the texts of an actor, by its `refKey`. */
  forget(actor: string): void;
}

/** Commits read at once for one path of messages. */
const reads_max = 32;
/** Keys and the map's own cost, beside two bytes a UTF-16 unit. */
const entry_bytes = 256;

export function textPort(log: Pick<Log, "at">): Texts {
  const cache = new Map<string, string>();
  /** The keys of each actor's texts. */
  const actors = new Map<string, Set<string>>();
  let cached_bytes = 0;
  let forgotten = 0;
  const size = (text: string): number => 2 * text.length + entry_bytes;

  const drop = (key: string, text: string): void => {
    cache.delete(key);
    cached_bytes -= size(text);
    const actor = actorOf(key);
    const keys = actors.get(actor);
    keys?.delete(key);
    if (keys?.size === 0) actors.delete(actor);
  };
  const remember = (key: string, text: string): void => {
    if (cache.has(key) || text === "" || size(text) > limits.texts_cached_bytes_max) return;
    cache.set(key, text);
    cached_bytes += size(text);
    const actor = actorOf(key);
    const keys = actors.get(actor) ?? new Set();
    actors.set(actor, keys.add(key));
    for (const [oldest, its] of cache) {
      if (cached_bytes <= limits.texts_cached_bytes_max) break;
      drop(oldest, its);
    }
  };

  const readOne = async (ref: ActorRef, { message, sequence }: TextRef): Promise<string> => {
    const key = keyOf(ref, sequence, message);
    const known = cache.get(key);
    if (known !== undefined) {
      cache.delete(key);
      cache.set(key, known);
      return known;
    }
    const before = forgotten;
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
    if (!commit.erased && forgotten === before) remember(key, text);
    return text;
  };

  return {
    remember(commit) {
      if (commit.erased) return;
      for (const { message, text } of textsOf(commit)) {
        remember(keyOf(commit.ref, commit.sequence, message), text);
      }
    },
    forget(actor) {
      forgotten += 1;
      for (const key of actors.get(actor) ?? []) drop(key, cache.get(key) ?? "");
    },
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

const actorOf = (key: string): string => key.slice(0, key.indexOf(":"));
const keyOf = (ref: ActorRef, sequence: number, message: string): string =>
  `${refKey(ref)}:${sequence}:${message}`;

/** The texts of messages that a commit holds: of those that it added, and of answers that it ended. */
function* textsOf({ events }: Commit): Generator<{ message: string; text: string }> {
  for (const { type, data } of events) {
    if (type === "message.added" || isEnding(type)) {
      if ("text" in data && "message" in data) yield data;
    }
  }
}

/** The text of a message in such a commit; null when it has none. */
export function textOf(commit: Commit, message: string): string | null {
  for (const one of textsOf(commit)) if (one.message === message) return one.text;
  return null;
}
