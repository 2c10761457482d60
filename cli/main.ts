/** The `colloquy` command. An expected failure is one sentence on stderr, never a stack trace. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AppError } from "../schemas/errors.ts";
import { chat } from "./chat.ts";
import { CliError, exit_usage } from "./config.ts";
import { deadletters } from "./dead-letters.ts";
import { doctor } from "./doctor.ts";
import { nearest } from "./nearest.ts";
import { serve } from "./serve.ts";
import { showConfig } from "./show-config.ts";
import { complain, say } from "./terminal.ts";
import { token } from "./token.ts";

type Command = (words: readonly string[]) => Promise<number> | number;

const commands: Readonly<Record<string, Command>> = {
  serve,
  chat,
  token,
  config: showConfig,
  doctor,
  deadletters,
  help,
};

const usage = `colloquy <command>

  serve     runs Colloquy        --roles gateway,actors,projections  --host  --port  --data
  chat      talks in the terminal; words or a pipe are one message
                                 --conversation <id>  --model  --url  --token  --data
  token     prints an access token
                                 --tenant <slug>  --user <id>  --role member|admin|owner  --ttl 24h
  config    shows every key, its value and where it comes from       --json
  doctor    looks at everything that a turn needs                    --json
  deadletters                        what could not be handled
            list    lists them                       --limit 100
            show    shows one, content and all       <letter or command>
            retry   sends them again, same ids       <letter or command> …  |  --all
            drop    removes them for ever            <letter or command> …  |  --all --yes
                                 --tenant <slug>  --json  --data
  help      shows this

Exit codes: 0 done, 1 failed, 2 wrong command line or configuration. Keys: docs/CONFIG.md.`;

function help(): number {
  say(usage);
  return 0;
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
  const asked = name === "--help" || name === "-h" || words.includes("--help") ? "help" : name;
  const command = Object.hasOwn(commands, asked) ? commands[asked] : undefined;
  if (command === undefined) {
    const near = nearest(name, Object.keys(commands));
    throw new CliError(`"${name}" is not a command; did you mean ${near}?`, exit_usage);
  }
  return command(words);
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
