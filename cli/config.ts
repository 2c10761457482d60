/**
 * The only reader of the environment. The table in cli/config/keys.ts says what may stand there; a
 * `COLLOQUY_` key that it does not know is refused with the nearest name, so that a typing error is
 * never silent.
 */
import { CliError, exit_usage } from "./line/cli-error.ts";
import { type KeyName, keyNames, keys } from "./config/keys.ts";
import { nearest } from "./line/nearest.ts";

/** What a key's text becomes. */
type Value<N extends KeyName> = ReturnType<(typeof keys)[N]["read"]>;

export interface Config {
  readonly get: <N extends KeyName>(name: N) => Value<N> | null;
  /** Where the value comes from. */
  readonly source: (name: KeyName) => "flag" | "environment" | "default" | "unset";
  /** The value as it may be printed: a secret shows only that it is set. */
  readonly shown: (name: KeyName) => string | null;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads and checks everything at once. `flags` are keys that the command line sets, which win.
 * Throws `CliError` with one sentence for the first thing that is wrong.
 */
export function readConfig(
  flags: Environment = {},
  environment: Environment = process.env,
): Config {
  for (const name of Object.keys(environment)) {
    if (!name.startsWith("COLLOQUY_") || Object.hasOwn(keys, name)) continue;
    const near = nearest(name, keyNames);
    throw new CliError(
      `${name} is not a key that Colloquy knows; did you mean ${near}?`,
      exit_usage,
    );
  }
  // An empty variable counts as absent: that is how compose files and shells unset one.
  const given = (from: Environment, name: KeyName): string | undefined => from[name] || undefined;
  const values = new Map<KeyName, unknown>();
  for (const name of keyNames) {
    const value = given(flags, name) ?? given(environment, name) ?? keys[name].default;
    if (value === null) continue;
    try {
      values.set(name, keys[name].read(value));
    } catch (error) {
      const why = error instanceof TypeError ? error.message : String(error);
      const what = keys[name].secret ? "" : `, not ${JSON.stringify(value)}`;
      throw new CliError(`${name} ${why}${what}.`, exit_usage);
    }
  }
  return {
    // The map was filled with what the key's own reader gave; the compiler cannot pair them.
    get: <N extends KeyName>(name: N) => (values.get(name) as Value<N> | undefined) ?? null,
    source(name) {
      if (given(flags, name) !== undefined) return "flag";
      if (given(environment, name) !== undefined) return "environment";
      return keys[name].default === null ? "unset" : "default";
    },
    shown(name) {
      const value = given(flags, name) ?? given(environment, name) ?? keys[name].default;
      if (value === null) return null;
      return keys[name].secret ? "••••••••" : value;
    },
  };
}
