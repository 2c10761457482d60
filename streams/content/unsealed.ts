/**
 * Messages of the log with their boxes opened, packed for another thread: one block of bytes that
 * changes hands instead of being copied. Decoding costs as much as folding does (measured), half of it
 * opening boxes; commits that are decoded already would have to be cloned, which costs more than it
 * saves.
 */
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { parseEventSubject } from "../../schemas/subjects.ts";
import { cutBox, openBox } from "./boxes.ts";
import { decodeUnsealed, openCommit, unopened } from "../log/codec.ts";
import { DamagedCommit } from "../faults.ts";
import type { Arrived } from "../log/pulls.ts";
import { type Logged, traceOf, undecodable } from "../log/reader.ts";
import type { ContentKey, Vault } from "./vault.ts";

/** Some messages, in order. */
export interface Unsealed {
  readonly subjects: readonly string[];
  readonly traces: readonly (string | null)[];
  /** Of each message its sequence, the length of its bytes, and that of its content. */
  readonly numbers: Float64Array<ArrayBuffer>;
  /** Of each message its bytes as they are stored, and behind them its content as JSON. */
  readonly bytes: ArrayBuffer;
}

/** Instead of a content's length: there is none to be read, or its box does not open. */
const none = -1;
const damaged = -2;

/** Opens the boxes of some messages; keys that are not at hand are fetched together. */
export async function unsealAll(arrived: readonly Arrived[], vault: Vault): Promise<Unsealed> {
  const boxes = arrived.map(({ message }) => boxOf(message.data, message.subject));
  const unknown = boxes.flatMap((box) =>
    box !== null && vault.cached(box.ref) === undefined ? [box.ref] : [],
  );
  const fetched = unknown.length === 0 ? null : await vault.keys(unknown);
  const numbers = new Float64Array(3 * arrived.length);
  const parts: Uint8Array[] = [];
  for (const [at, { sequence, message }] of arrived.entries()) {
    const { data } = message;
    const box = boxes[at] ?? null;
    const name = box === null ? "" : refKey(box.ref);
    const key = box === null ? null : (fetched?.get(name) ?? vault.cached(box.ref) ?? null);
    const content = box === null || key === null ? none : contentOf(box, key, name);
    parts.push(data);
    if (typeof content !== "number") parts.push(content);
    numbers.set(
      [sequence, data.length, typeof content === "number" ? content : content.length],
      3 * at,
    );
  }
  return {
    subjects: arrived.map(({ message }) => message.subject),
    traces: arrived.map(({ message }) => traceOf(message, message.data)),
    ...{ numbers, bytes: joined(parts) },
  };
}

function joined(parts: readonly Uint8Array[]): ArrayBuffer {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes.buffer;
}

interface Box {
  readonly ref: ActorRef;
  readonly commit: string;
  readonly sealed: string;
}

const begin = '{"v":1,"commit":"';
const uuid_chars = 36;

/** The box of a message that has one. Nothing is checked here: who decodes it looks at everything. */
function boxOf(data: Uint8Array, subject: string): Box | null {
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const ref = parseEventSubject(subject);
  if (ref === null || !bytes.includes('"sealed":"')) return null;
  const head = bytes.toString("latin1", 0, begin.length + uuid_chars);
  const { sealed } = cutBox(bytes);
  if (sealed === "") return null;
  if (sealed !== null && head.startsWith(begin)) {
    return { ref, sealed, commit: head.slice(begin.length) };
  }
  // Nothing that `encodeCommit` has written.
  try {
    // Only looked into; whatever it is, it opens the box or does not.
    const stored = JSON.parse(bytes.toString()) as { commit: string; sealed: string };
    return { ref, commit: `${stored.commit}`, sealed: `${stored.sealed}` };
  } catch {
    return null;
  }
}

function contentOf({ sealed, commit }: Box, key: ContentKey, name: string): Uint8Array | number {
  try {
    return openBox(sealed, key, name, commit);
  } catch {
    return damaged;
  }
}

/** What `readBatches` would have made of the same messages. Throws `DamagedCommit` as it does. */
export function decodeUnsealedAll(unsealed: Unsealed, onlyLastHash: boolean): Logged[] {
  const { subjects, traces, numbers } = unsealed;
  const all = Buffer.from(unsealed.bytes);
  const last = subjects.length - 1;
  let from = 0;
  return subjects.map((subject, at) => {
    const [sequence = 0, length = 0, chars = none] = numbers.subarray(3 * at, 3 * at + 3);
    const data = all.subarray(from, from + length);
    const content = from + length;
    from = content + Math.max(0, chars);
    try {
      const opened = openCommit(data, { subject, sequence }, traces[at] ?? null);
      if (chars === damaged) throw new DamagedCommit(opened.place, unopened);
      const text = chars === none ? null : all.toString("utf8", content, from);
      return decodeUnsealed(opened, text, !onlyLastHash || at === last);
    } catch (error) {
      return undecodable(error, data);
    }
  });
}
