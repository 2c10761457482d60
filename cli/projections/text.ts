/** What `colloquy projections` prints. Content of rows goes through `printable`, shortened. */
import type { Difference } from "../../projections/rebuild/compare-rows.ts";
import type { ParkedActor, Status } from "../../projections/rebuild/status.ts";
import { size } from "../line/progress.ts";
import { printable } from "../line/terminal.ts";

/** Columns under each other, two spaces apart. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  }
  return rows.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

export const statusLines = (all: readonly Status[]): string[] =>
  columns([
    ["name", "version", "generation", "state", "position", "lag", "parked", "size"],
    ...all.map((one) => [
      one.name,
      String(one.version),
      String(one.generation),
      one.state,
      String(one.position),
      String(one.lag),
      String(one.parked),
      size(one.bytes),
    ]),
  ]);

export const parkedLine = ({
  projector,
  tenant,
  kind,
  id,
  revision,
  reason,
}: ParkedActor): string =>
  `${id}  ${tenant} ${kind}: ${projector} stands before event ${revision}: ${printable(reason)}`;

const shown_chars = 60;

/** A row that differs: its key, and the columns with what stands there and what should. */
export function differenceLines({ table, key, live, rebuilt }: Difference): string[] {
  const where = Object.entries(key).map(([column, value]) => `${column} ${printable(value)}`);
  const head = `${table}  ${where.join(", ")}`;
  if (live === null) return [`${head}: it is missing`];
  if (rebuilt === null) return [`${head}: it should not be there`];
  const lines = Object.keys(live)
    .filter((column) => JSON.stringify(live[column]) !== JSON.stringify(rebuilt[column]))
    .map((column) => `    ${column}: ${brief(live[column])} instead of ${brief(rebuilt[column])}`);
  return [head, ...lines];
}

function brief(value: unknown): string {
  const text = printable(JSON.stringify(value) ?? "null");
  return text.length <= shown_chars ? text : `${text.slice(0, shown_chars)}…`;
}
