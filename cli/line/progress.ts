/**
 * How far long work has come: a line that rewrites itself on a terminal, a line every few seconds
 * elsewhere, a JSON object per line for programs. Pure but for where it writes.
 */
import type { Progress } from "../../projections/rebuild/fill.ts";
import { say } from "./terminal.ts";

export interface Meter {
  show(progress: Progress): void;
  /** A sentence beside the progress. */
  note(sentence: string): void;
  /** Ends the line that rewrites itself. */
  end(): void;
}

/** Where nobody sees a line rewritten, one says enough this often. */
const line_ms = 3_000;
const json_ms = 1_000;

/** `now` gives milliseconds. */
export function createMeter(
  how: { readonly json: boolean; readonly terminal: boolean },
  now: () => number,
): Meter {
  let open = false;
  let told_ms = Number.NEGATIVE_INFINITY;
  const close = (): void => {
    if (open) process.stderr.write("\n");
    open = false;
  };
  return {
    show(progress) {
      const last = progress.position >= progress.end;
      const every_ms = how.json ? json_ms : how.terminal ? 0 : line_ms;
      if (now() - told_ms < every_ms && !last) return;
      told_ms = now();
      if (how.json) say(JSON.stringify({ ...figures(progress), what: "progress" }));
      else if (how.terminal) {
        process.stderr.write(`\r\u{1b}[2K${bar(progress)} ${line(progress)}`);
        open = true;
      } else process.stderr.write(`${line(progress)}\n`);
    },
    note(sentence) {
      close();
      if (how.json) say(JSON.stringify({ what: "note", note: sentence }));
      else process.stderr.write(`${sentence}\n`);
    },
    end: close,
  };
}

/** The numbers of a moment; `eta_s` is null while nothing has been done. */
export function figures(progress: Progress): {
  readonly position: number;
  readonly end: number;
  readonly events: number;
  readonly events_per_s: number;
  readonly eta_s: number | null;
} {
  const { position, end, events, commits, elapsed_ms } = progress;
  const seconds = Math.max(elapsed_ms, 1) / 1_000;
  return {
    ...{ position, end, events, events_per_s: Math.round(events / seconds) },
    eta_s: commits === 0 ? null : Math.ceil(((end - position) * seconds) / commits),
  };
}

function line(progress: Progress): string {
  const { position, end, events_per_s, eta_s } = figures(progress);
  const percent = end === 0 ? 100 : Math.floor((100 * position) / end);
  const left = eta_s === null || position >= end ? "" : `, ${duration(eta_s)} left`;
  return `${percent} %  ${position} of ${end}, ${events_per_s} events/s${left}`;
}

const width = 24;

function bar({ position, end }: Progress): string {
  const full = end === 0 ? width : Math.round((width * position) / end);
  return `[${"#".repeat(full)}${".".repeat(width - full)}]`;
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${seconds % 60} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Bytes as people read them. */
export function size(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  for (; value >= 1_000 && unit < units.length - 1; unit++) value /= 1_000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
