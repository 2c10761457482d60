/**
 * Where the lines of the access log go: gathered for a moment and written together, one write at a time.
 * Whoever takes them slowly, or not at all, holds up nobody: what waits is bounded, and lines past that
 * are dropped and counted (I11), which the log itself says as soon as it goes on.
 */
import { fstatSync, write as writeFile } from "node:fs";
import type { Writable } from "node:stream";
import type { AccessLog } from "../gateway/ports.ts";
import type { Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";

/** Writes a text and says when it is gone, or lost. Never throws. */
export type Put = (text: string, done: (ok: boolean) => void) => void;

/** A pipe or a terminal: what the other side does not read stays with us until it does. */
export const toStream =
  (stream: Writable): Put =>
  (text, done) => {
    stream.write(text, (error) => done(error === null || error === undefined));
  };

/** A file: whoever has no room for the log today may have it tomorrow. */
export const toFile =
  (fd: number): Put =>
  (text, done) =>
    writeFile(fd, text, (error) => done(error === null));

/** The standard output, whatever it is. */
export function standardOutput(): Put {
  const { fd } = process.stdout;
  return fstatSync(fd).isFile() ? toFile(fd) : toStream(process.stdout);
}

export interface Sink extends AccessLog {
  /** Writes what waits; resolves when it is gone, or after a moment. */
  stop(): Promise<void>;
}

export function openAccessLog(put: Put, clock: Clock): Sink {
  let lines: string[] = [];
  let chars = 0;
  let dropped = 0;
  /** Of these, those that the log has not told of. */
  let untold = 0;
  let writing = false;
  let cancel: (() => void) | null = null;
  const drop = (count: number): void => {
    dropped += count;
    untold += count;
  };
  const flush = (): void => {
    cancel?.();
    cancel = null;
    if (writing || lines.length === 0) return;
    const taken = lines;
    if (untold > 0) {
      const time = new Date(clock.now()).toISOString();
      taken.unshift(JSON.stringify({ time, event: "dropped", lines: untold }));
      untold = 0;
    }
    lines = [];
    chars = 0;
    writing = true;
    put(`${taken.join("\n")}\n`, (ok) => {
      writing = false;
      if (!ok) drop(taken.length);
      if (lines.length > 0) flush();
    });
  };
  return {
    write(line) {
      if (chars + line.length > limits.access_log_chars_max) return drop(1);
      lines.push(line);
      chars += line.length;
      if (chars >= limits.access_log_write_chars) flush();
      else cancel ??= clock.after(limits.access_log_write_ms, flush);
    },
    dropped: () => dropped,
    async stop() {
      flush();
      const end = clock.now() + limits.access_log_stop_ms;
      while (writing && clock.now() < end) {
        await new Promise<void>((resolve) => void clock.after(10, resolve));
      }
    },
  };
}
