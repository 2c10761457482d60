/**
 * One stored message as one line of an export, and back to its very bytes. A commit stands in its line
 * as the JSON that it is, so that the line can be read by anybody, but it is the last field and is
 * taken back as text: parsing and writing it anew could change it.
 */
import type { MsgHdrs } from "@nats-io/transport-node";
import { archivedLine } from "../../schemas/archive.ts";
import { parseJson } from "../../schemas/validate.ts";

export interface Stored {
  readonly sequence: number;
  /** When the server stored it: ISO time with nanoseconds. */
  readonly time: string;
  readonly subject: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly data: Uint8Array;
}

/** Nothing before it can hold these characters: quotes in a JSON string are escaped. */
const mark = ',"commit":';
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The line without its end, and how many events its commit has; 0 for what is no commit. */
export function toLine({ data, ...about }: Stored): {
  readonly line: string;
  readonly events: number;
} {
  const { sequence, time, subject, headers } = about;
  const start = JSON.stringify({ sequence, time, subject, headers }).slice(0, -1);
  const text = textOf(data);
  const value = text === null ? undefined : parseJson(text);
  if (text === null || value === undefined) {
    return { line: `${start},"base64":"${Buffer.from(data).toString("base64")}"}`, events: 0 };
  }
  const events = hasEvents(value) ? value.events.length : 0;
  return { line: `${start}${mark}${text}}`, events };
}

/** The text of bytes that are one line of UTF-8; null for all others. */
function textOf(data: Uint8Array): string | null {
  try {
    const text = utf8.decode(data);
    return /[\r\n]/.test(text) ? null : text;
  } catch {
    return null;
  }
}

const hasEvents = (value: unknown): value is { readonly events: readonly unknown[] } =>
  typeof value === "object" && value !== null && "events" in value && Array.isArray(value.events);

/** Throws `TypeError` with what is wrong with the line. */
export function fromLine(text: string): Stored {
  const parsed = archivedLine.parse(parseJson(text));
  if (!parsed.ok) throw new TypeError(`it holds a line that is no commit: ${parsed.problem}`);
  const { sequence, time, subject, headers, base64 } = parsed.value;
  const at = text.indexOf(mark);
  if (base64 === undefined && at < 0) throw new TypeError("it holds a line without a commit");
  const data =
    base64 === undefined
      ? Buffer.from(text.slice(at + mark.length, -1))
      : Buffer.from(base64, "base64");
  return { sequence, time, subject, headers, data };
}

/** A message's headers in their order. */
export function headersOf(found: MsgHdrs | undefined): readonly (readonly [string, string])[] {
  const headers: [string, string][] = [];
  for (const [key, values] of found ?? []) for (const value of values) headers.push([key, value]);
  return headers;
}

/** When the server stored a message, by the reply subject that it came with. */
export function storedAt(reply: string): string {
  // `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<delivery>.<time>.<pending>`, or with a domain
  // and an account before the stream and one token more behind.
  const parts = reply.split(".");
  const nanos = BigInt(parts[parts.length === 9 ? 7 : 9] ?? "0");
  const second = new Date(Number(nanos / 1_000_000_000n) * 1_000).toISOString().slice(0, 19);
  return `${second}.${String(nanos % 1_000_000_000n).padStart(9, "0")}Z`;
}
