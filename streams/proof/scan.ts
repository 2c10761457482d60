/**
 * Reads every message of a part of EVENTS once, in order, as it is stored, and says what cannot be
 * read. A server passes over one message that its checksum refuses, and stops for ever without a
 * word at a whole block that it cannot unpack (2.14, reproduced), so whoever waits looks for itself.
 */
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { fromLeader } from "../leader.ts";
import { events_stream } from "../topology.ts";

/** Sequences that should hold messages and do not, both ends included. */
export interface Hole {
  readonly first: number;
  readonly last: number;
}

export interface Part {
  /** Sequences, both ends included. */
  readonly from: number;
  readonly to: number;
  /** A subject filter; with one there is no telling which sequences should be met. */
  readonly filter: string | null;
}

/** Messages asked for at once: the consumer's window is what hides the way there and back. */
const ahead_messages = 5_000;
/** Silence after which we look whether there is a hole; too early costs one question. */
const silence_ms = 1_000;

type Take = (sequence: number, subject: string, data: Uint8Array, message: JsMsg) => void;

/** Calls back for each message; resolves with the holes. Throws `AppError("unavailable")`. */
export async function scan(streams: Streams, part: Part, take: Take): Promise<Hole[]> {
  const holes: Hole[] = [];
  let next = part.from;
  try {
    while (next <= part.to) {
      const rest = { ...part, from: next };
      const silent = await read(streams, events_stream, rest, (...message) => {
        const [sequence] = message;
        if (part.filter === null && sequence > next) {
          holes.push({ first: next, last: sequence - 1 });
        }
        next = sequence + 1;
        take(...message);
      });
      if (!silent) break;
      const there = await firstReadable(streams, next, part.to);
      if (there > next) holes.push({ first: next, last: there - 1 });
      next = there;
    }
    if (part.filter === null && next <= part.to) holes.push({ first: next, last: part.to });
  } catch (cause) {
    throw unavailable("The log cannot be read", cause);
  }
  return joined(holes);
}

/** Reads on until the end of the part (false), or until nothing comes any more (true). */
export async function read(
  streams: Streams,
  stream: string,
  { from, to, filter }: Part,
  take: Take,
): Promise<boolean> {
  const consumer = await streams.js.consumers.get(stream, {
    deliver_policy: "by_start_sequence",
    opt_start_seq: from,
    ...(filter === null ? {} : { filter_subjects: filter }),
  });
  const { num_pending } = await consumer.info();
  let messages: ConsumerMessages | null = null;
  let heard_ms = performance.now();
  try {
    if (num_pending === 0) return false;
    return await new Promise<boolean>((resolve, reject) => {
      let ended = false;
      const end = (silent: boolean): void => {
        ended = true;
        clearInterval(timer);
        resolve(silent);
      };
      const timer = setInterval(() => {
        if (performance.now() - heard_ms > silence_ms) end(true);
      }, silence_ms / 4);
      const consuming = consumer.consume({
        max_messages: ahead_messages,
        expires: 30_000,
        callback(message) {
          if (ended) return;
          heard_ms = performance.now();
          try {
            if (message.seq <= to) take(message.seq, message.subject, message.data, message);
          } catch (error) {
            ended = true;
            clearInterval(timer);
            reject(error);
          }
          if (message.seq >= to || message.info.pending === 0) end(false);
        },
      });
      consuming.then((made) => (messages = made), reject);
    });
  } finally {
    // Assigned in a callback, which the compiler does not follow.
    (messages as ConsumerMessages | null)?.stop();
    consumer.delete().catch(() => undefined);
  }
}

/** How many messages the server counts behind a filter. Throws `AppError("unavailable")`. */
export async function countOf(streams: Streams, filter: string): Promise<number> {
  try {
    const options = { deliver_policy: "all", filter_subjects: filter } as const;
    const consumer = await streams.js.consumers.get(events_stream, options);
    const { num_pending } = await consumer.info();
    consumer.delete().catch(() => undefined);
    return num_pending;
  } catch (cause) {
    throw unavailable("The log cannot be read", cause);
  }
}

/**
 * The first sequence from `from` on that can be read, `to` + 1 for none: looked for in strides that
 * double, then halved, since what cannot be read lies together as a rule.
 */
async function firstReadable(streams: Streams, from: number, to: number): Promise<number> {
  const readable = async (sequence: number): Promise<boolean> => {
    const near = await streams.tracked(
      streams.jsm.direct.getMessage(events_stream, { seq: sequence }),
    );
    return (near ?? (await fromLeader(streams, { seq: sequence }).catch(() => null))) !== null;
  };
  let low = from;
  for (let stride = 1; ; stride *= 2) {
    const at = Math.min(from + stride - 1, to);
    if (await readable(at)) {
      let high = at;
      while (low < high) {
        const middle = Math.floor((low + high) / 2);
        if (await readable(middle)) high = middle;
        else low = middle + 1;
      }
      return high;
    }
    low = at + 1;
    if (at === to) return to + 1;
  }
}

/** Holes that touch are one. */
function joined(holes: readonly Hole[]): Hole[] {
  const whole: Hole[] = [];
  for (const hole of holes) {
    const last = whole.at(-1);
    if (last !== undefined && last.last + 1 === hole.first) {
      whole[whole.length - 1] = { first: last.first, last: hole.last };
    } else whole.push(hole);
  }
  return whole;
}
