/** The `colloquy` command. An expected failure is one sentence on stderr, never a stack trace. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../schemas/errors.ts";
import { chat } from "./chat.ts";
import { type Command, helpOf, overview, runCommand } from "./command.ts";
import { CliError, exit_usage } from "./config.ts";
import { deadletters } from "./dead-letters.ts";
import { doctor } from "./doctor.ts";
import { nearest } from "./nearest.ts";
import { serve } from "./serve.ts";
import { showConfig } from "./show-config.ts";
import { complain, say } from "./terminal.ts";
import { token } from "./token.ts";

/** In the order of the help. */
const commands: Readonly<Record<string, Command>> = {
  serve,
  chat,
  token,
  config: showConfig,
  doctor,
  deadletters,
  help: {
    summary: "shows this, or what one command takes",
    words: "<command>",
    words_max: 2,
    flags: {},
    run: ({ rest }) => help(rest),
  },
};

function help([name, ...words]: readonly string[]): number {
  say(name === undefined ? overview(commands) : helpOf(name, named(name), words));
  return 0;
}

/** Throws `CliError` with the nearest name. */
function named(name: string): Command {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command !== undefined) return command;
  const near = nearest(name, Object.keys(commands));
  throw new CliError(`"${name}" is not a command; did you mean ${near}?`, exit_usage);
}

function version(): string {
  const text = readFileSync(join(import.meta.dirname, "../package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version; // our own package.json
}

function main([name = "help", ...words]: readonly string[]): Promise<number> | number {
  if (name === "--version" || name === "-v") {
    say(version());
    return 0;
  }
  if (name === "--help" || name === "-h") return help([]);
  if (words.includes("--help") || words.includes("-h")) return help([name, ...words]);
  return runCommand(name, named(name), words);
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
