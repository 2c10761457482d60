/** Where the command line writes: results to stdout, everything else to stderr. */
import type { ActorRef } from "../../schemas/ids.ts";

// A reader that has seen enough (`| head -1`) is no failure of ours: the rest is for nobody.
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
}

export const say = (line = ""): void => void process.stdout.write(`${line}\n`);
export const complain = (line: string): void => void process.stderr.write(`${line}\n`);

export interface Problem {
  readonly what: string;
  readonly ref?: ActorRef;
  readonly error?: unknown;
}

/** What an error says, in one line. */
export const reason = (error: unknown): string =>
  error instanceof Error ? error.message : JSON.stringify(error);

/**
 * Text of strangers, fit for a terminal: what would move its cursor, colour it or turn its direction
 * is written out. Line ends and tabs stay when `lines` says so.
 */
export const printable = (text: string, lines = false): string =>
  text.replaceAll(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu, (character) =>
    lines && (character === "\n" || character === "\t")
      ? character
      : `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** One line for something that an operator should look at; the stack only when asked for. */
export function reporter(level: "error" | "info" | "debug"): (problem: Problem) => void {
  return ({ what, ref, error }) => {
    const where = ref === undefined ? "" : ` (${ref.tenant} ${ref.kind} ${ref.id})`;
    const why = error === undefined ? "" : `: ${reason(error)}`;
    complain(`${new Date().toISOString()} ${what}${where}${why}`);
    if (level === "debug" && error instanceof Error && error.stack !== undefined) {
      complain(error.stack);
    }
  };
}
