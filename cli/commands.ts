/** The commands by name, and what a whole line of them does: what `main.ts` runs and ends with. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../schemas/errors.ts";
import { type Command, helpOf, overview, runCommand } from "./line/command.ts";
import { CliError, exit_usage } from "./line/cli-error.ts";
import { nearest } from "./line/nearest.ts";
import { say } from "./line/terminal.ts";

/** In the order of the help. Loaded when asked for: all of them together take half a second. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./serve.ts")).serve,
  chat: async () => (await import("./chat.ts")).chat,
  token: async () => (await import("./token.ts")).token,
  config: async () => (await import("./config/show-config.ts")).showConfig,
  doctor: async () => (await import("./doctor.ts")).doctor,
  projections: async () => (await import("./projections/projections.ts")).projections,
  conversation: async () => (await import("./conversation/conversation.ts")).conversation,
  audit: async () => (await import("./audit.ts")).audit,
  deadletters: async () => (await import("./letters/dead-letters.ts")).deadletters,
  anchors: async () => (await import("./anchors.ts")).anchors,
  events: async () => (await import("./events/events.ts")).events,
  erasures: async () => (await import("./erasures/erasures.ts")).erasures,
  help: () =>
    Promise.resolve({
      summary: "shows this, or what one command takes",
      words: "<command>",
      words_max: 2,
      flags: {},
      run: ({ rest }) => help(rest),
    }),
};

async function help([name, ...words]: readonly string[]): Promise<number> {
  if (name === undefined) {
    const loaded = Object.entries(commands).map(
      async ([one, load]) => [one, await load()] as const,
    );
    say(overview(Object.fromEntries(await Promise.all(loaded))));
  } else say(helpOf(name, await named(name), words));
  return 0;
}

/** Throws `CliError` with the nearest name. */
function named(name: string): Promise<Command> {
  const load = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (load !== undefined) return load();
  const near = nearest(name, Object.keys(commands));
  throw new CliError(`"${name}" is not a command; did you mean ${near}?`, exit_usage);
}

function version(): string {
  const text = readFileSync(join(import.meta.dirname, "../package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version; // our own package.json
}

/** Runs what was typed behind `colloquy`; resolves with the exit code, throws as a command does. */
export async function runLine([name = "help", ...words]: readonly string[]): Promise<number> {
  if (name === "--version" || name === "-v") {
    say(version());
    return 0;
  }
  if (name === "--help" || name === "-h") return help([]);
  if (words.includes("--help") || words.includes("-h")) return help([name, ...words]);
  return runCommand(name, await named(name), words);
}

/** What is said of a failure, and the exit code: an expected one is a sentence and no stack trace. */
export function failure(error: unknown): { readonly sentence: string; readonly exit: number } {
  if (error instanceof CliError) return { sentence: error.message, exit: error.exit };
  if (error instanceof AppError) return { sentence: error.message, exit: 1 };
  const sentence = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return { sentence, exit: 1 };
}
