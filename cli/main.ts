/** The `colloquy` command. An expected failure is one sentence on stderr, never a stack trace. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../schemas/errors.ts";
import { type Command, helpOf, overview, runCommand } from "./command.ts";
import { CliError, exit_usage } from "./cli-error.ts";
import { nearest } from "./nearest.ts";
import { complain, say } from "./terminal.ts";

/** In the order of the help. Loaded when asked for: all of them together take half a second. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./serve.ts")).serve,
  chat: async () => (await import("./chat.ts")).chat,
  token: async () => (await import("./token.ts")).token,
  config: async () => (await import("./show-config.ts")).showConfig,
  doctor: async () => (await import("./doctor.ts")).doctor,
  projections: async () => (await import("./projections.ts")).projections,
  conversation: async () => (await import("./conversation.ts")).conversation,
  audit: async () => (await import("./audit.ts")).audit,
  deadletters: async () => (await import("./dead-letters.ts")).deadletters,
  anchors: async () => (await import("./anchors.ts")).anchors,
  events: async () => (await import("./events.ts")).events,
  erasures: async () => (await import("./erasures.ts")).erasures,
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

async function main([name = "help", ...words]: readonly string[]): Promise<number> {
  if (name === "--version" || name === "-v") {
    say(version());
    return 0;
  }
  if (name === "--help" || name === "-h") return help([]);
  if (words.includes("--help") || words.includes("-h")) return help([name, ...words]);
  return runCommand(name, await named(name), words);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof CliError) {
    complain(error.message);
    process.exitCode = error.exit;
  } else if (error instanceof AppError) {
    complain(error.message);
    process.exitCode = 1;
  } else {
    complain(error instanceof Error ? (error.stack ?? error.message) : String(error));
    process.exitCode = 1;
  }
}
