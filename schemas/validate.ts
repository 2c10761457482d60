/**
 * The only home of the validator. A schema is compiled once, when it is first used, since a process
 * uses few of them and all together would hold up its start; `parse` turns
 * hostile input into a typed value or one short sentence that says where it went wrong. It must
 * never throw, whatever it is given.
 */
import type { Static, TObject, TSchema, TUnknown } from "typebox";
import { Compile, type Validator } from "typebox/compile";

/** A JSON Schema with a type, for whoever passes schemas on; they are written only here in `schemas/`. */
export type Schema = TSchema;
export type ObjectSchema = TObject;
export type AnySchema = TUnknown;
/** The type of what fits a schema. */
export type Of<S extends Schema> = Static<S>;

export type Parsed<T> = { ok: true; value: T } | { ok: false; problem: string };

export interface Check<T> {
  /** The value typed, or the first problem as `<path> <what is wrong>`, at most 200 characters. */
  parse(value: unknown): Parsed<T>;
  /** Whether the value fits; the cheap form for hot paths. */
  is(value: unknown): value is T;
}

const problem_chars_max = 200;

/** A check by a schema. Call it at module level only: compiling costs about a millisecond. */
export function check<S extends TSchema>(schema: S): Check<Static<S>> {
  let made: Validator | null = null;
  const compiled = (): Validator => (made ??= Compile(schema));
  const is = (value: unknown): value is Static<S> => compiled().Check(value);
  return {
    is,
    parse(value) {
      if (is(value)) return { ok: true, value };
      const first = compiled()
        .Errors(value)
        .find((error) => error.keyword !== "boolean");
      const where = first?.instancePath.slice(1).replaceAll("/", ".") || "value";
      return {
        ok: false,
        problem: `${where} ${first?.message ?? "is invalid"}`.slice(0, problem_chars_max),
      };
    },
  };
}

/**
 * Whether JSON text nests deeper than so many levels: a megabyte that opens and opens takes the parser
 * ten times as long as others do, and what is made of it ends the stack of whoever walks it.
 */
export function nestsDeeper(text: string, levels_max: number): boolean {
  // What opens so seldom cannot nest so deep: nearly every text, and this is the quick way to tell.
  let opened = 0;
  for (const opener of ["{", "["]) {
    let at = text.indexOf(opener);
    for (; at >= 0 && opened <= levels_max; at = text.indexOf(opener, at + 1)) opened++;
  }
  if (opened <= levels_max) return false;
  let levels = 0;
  let quoted = false;
  for (let at = 0; at < text.length && levels <= levels_max; at++) {
    const char = text[at];
    if (quoted) {
      if (char === "\\") at++;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === "{" || char === "[") levels++;
    else if (char === "}" || char === "]") levels--;
  }
  return levels > levels_max;
}

/** Parses JSON text without throwing; `undefined` when it is not JSON (JSON has no `undefined`). */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
