/** Reads a command's arguments; what is not known is refused with the nearest name. */
import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { CliError, exit_usage } from "./cli-error.ts";
import { nearest } from "./nearest.ts";

/** Flag → what it means; one that takes a value begins with that in angle brackets: `<slug> …`. */
export type Flags = Readonly<Record<string, string>>;

/** Every command takes it. */
export const data_flag = { data: "<folder> the data folder, .colloquy when absent" } as const;

export interface Arguments {
  /** The flag's value; undefined when it was not given. */
  value(flag: string): string | undefined;
  on(flag: string): boolean;
  readonly rest: readonly string[];
}

/** Throws `CliError` with exit code 2; `rest_max` is how many words may stand beside the flags. */
export function readArguments(words: readonly string[], flags: Flags, rest_max = 0): Arguments {
  const options: ParseArgsOptionsConfig = Object.fromEntries(
    Object.entries(flags).map(([flag, what]) => [
      flag,
      { type: what.startsWith("<") ? ("string" as const) : ("boolean" as const) },
    ]),
  );
  const names = Object.keys(flags);
  for (const word of words) {
    const flag = /^--([^=]+)/.exec(word)?.[1];
    if (flag === undefined || Object.hasOwn(flags, flag)) continue;
    const hint = names.length === 0 ? "" : `; did you mean --${nearest(flag, names)}?`;
    throw new CliError(`--${flag} is not a flag here${hint}`, exit_usage);
  }
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      options,
      allowPositionals: true,
      strict: true,
    });
    if (positionals.length > rest_max) {
      throw new CliError(`"${positionals[rest_max] ?? ""}" is one word too many.`, exit_usage);
    }
    return {
      value(flag) {
        const value = values[flag];
        return typeof value === "string" ? value : undefined;
      },
      on: (flag) => values[flag] === true,
      rest: positionals,
    };
  } catch (error) {
    if (error instanceof CliError) throw error;
    const first = error instanceof Error ? (error.message.split(". ")[0] ?? "") : String(error);
    throw new CliError(`${first}.`, exit_usage, { cause: error });
  }
}
