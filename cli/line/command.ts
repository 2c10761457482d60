/**
 * What a command of the command line is: one deed, or several by name. The help is made of the same
 * table that reads the arguments, so the two cannot part.
 */
import { type Arguments, type Flags, readArguments } from "./arguments.ts";
import { CliError, exit_usage } from "./cli-error.ts";
import { nearest } from "./nearest.ts";
import { printable } from "./terminal.ts";

/** Something that a command does; `run` resolves with the exit code. */
export interface Deed {
  /** What it does, in a few words. */
  readonly summary: string;
  /** What stands beside the flags, as the help shows it, and how many words that is at most. */
  readonly words?: string;
  readonly words_max?: number;
  readonly flags: Flags;
  run(given: Arguments): Promise<number> | number;
}

/** Deeds by name, as in `colloquy deadletters list`. */
export interface Deeds {
  readonly summary: string;
  readonly deeds: Readonly<Record<string, Deed>>;
  /** What is meant when no deed is named. */
  readonly usual?: string;
}

export type Command = Deed | Deeds;

/** Runs it with what was typed behind its name. Throws `CliError` with exit code 2 for a wrong line. */
export function runCommand(
  name: string,
  command: Command,
  words: readonly string[],
): Promise<number> | number {
  if (!("deeds" in command)) {
    return command.run(readArguments(words, command.flags, command.words_max));
  }
  const names = Object.keys(command.deeds);
  const [first] = words;
  const named = first !== undefined && !first.startsWith("-");
  const chosen = named ? first : command.usual;
  if (chosen === undefined) {
    throw new CliError(`Say what: colloquy ${name} ${names.join("|")}.`, exit_usage);
  }
  const deed = Object.hasOwn(command.deeds, chosen) ? command.deeds[chosen] : undefined;
  if (deed === undefined) {
    throw new CliError(
      `${name} does not know "${printable(chosen)}"; did you mean ${nearest(chosen, names)}?`,
      exit_usage,
    );
  }
  return deed.run(readArguments(named ? words.slice(1) : words, deed.flags, deed.words_max));
}

/** The help of one command, or of one of its deeds when `words` name it. */
export function helpOf(name: string, command: Command, words: readonly string[] = []): string {
  if (!("deeds" in command)) return deedHelp(`colloquy ${name}`, command);
  const deeds = Object.entries(command.deeds);
  const named = deeds.find(([deed]) => words.includes(deed));
  if (named !== undefined) return deedHelp(`colloquy ${name} ${named[0]}`, named[1]);
  const lines = deeds.map(([deed, one]) => deedHelp(`colloquy ${name} ${deed}`, one));
  return [`colloquy ${name}: ${command.summary}`, ...lines].join("\n\n");
}

function deedHelp(call: string, { summary, words, flags }: Deed): string {
  const rows = Object.entries(flags).map(([flag, what]) => {
    const [, value = "", rest = ""] = /^(<[^>]*>)?\s*(.*)$/.exec(what) ?? [];
    return [`--${flag}${value === "" ? "" : ` ${value}`}`, rest] as const;
  });
  const width = Math.max(0, ...rows.map(([flag]) => flag.length));
  return [
    `${call}${words === undefined ? "" : ` ${words}`}`,
    `    ${summary}`,
    ...rows.map(([flag, rest]) => `      ${flag.padEnd(width)}  ${rest}`.trimEnd()),
  ].join("\n");
}

/** The list of commands, a line each. */
export function overview(commands: Readonly<Record<string, Command>>): string {
  const rows = Object.entries(commands).map(([name, command]) => {
    const deeds = "deeds" in command ? `: ${Object.keys(command.deeds).join(", ")}` : "";
    return `  ${name.padEnd(13)} ${command.summary}${deeds}`;
  });
  return [
    "colloquy <command>",
    "",
    ...rows,
    "",
    "colloquy help <command> shows its flags; most take --json for programs.",
    "Exit codes: 0 done, 1 failed, 2 wrong command line or configuration. Keys: docs/CONFIG.md.",
  ].join("\n");
}
