/**
 * Rows as the text format of COPY: a line each, columns apart by tabs. Exact for every value: what the
 * format gives a meaning is written with a backslash, and NUL, which Postgres text cannot hold, becomes
 * the replacement character, as it does in `rows.ts`.
 */
import type { Row, Table, Value } from "../projector.ts";

const special = /[\\\t\n\r\0]/;

const escaped = (text: string): string =>
  text
    .replaceAll("\\", "\\\\")
    .replaceAll("\t", "\\t")
    .replaceAll("\n", "\\n")
    .replaceAll("\r", "\\r")
    .replaceAll("\0", "\u{fffd}");

function written(value: Value | undefined): string {
  if (value === null || value === undefined) return "\\N";
  if (typeof value === "string") return special.test(value) ? escaped(value) : value;
  if (typeof value === "boolean") return value ? "t" : "f";
  return String(value);
}

/** Characters of one chunk: large enough that a chunk costs nothing, small beside the rest. */
const chunk_chars = 256 * 1024;

/** What goes behind `COPY <table> (<columns>) FROM STDIN`, in the order of the table's columns. */
export function copyText(table: Table, rows: readonly Row[]): Uint8Array[] {
  const columns = Object.keys(table.columns);
  const chunks: Uint8Array[] = [];
  let text = "";
  for (const row of rows) {
    let separator = "";
    for (const column of columns) {
      text += separator + written(row[column]);
      separator = "\t";
    }
    text += "\n";
    if (text.length < chunk_chars) continue;
    chunks.push(Buffer.from(text));
    text = "";
  }
  if (text !== "") chunks.push(Buffer.from(text));
  return chunks;
}
