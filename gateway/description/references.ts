/**
 * Turns schemas into the JSON of a description. A schema that `schemas/` exports by a name stands once
 * among the components, and everywhere else as a reference to it.
 */
import * as http from "../../schemas/http.ts";
import * as usage from "../../schemas/usage.ts";
import type { Schema } from "../../schemas/validate.ts";

export type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json };

/** A schema of TypeBox is JSON Schema; what it knows besides is not enumerable. */
const isSchema = (value: unknown): value is Schema =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const names: ReadonlyMap<unknown, string> = new Map(
  Object.entries({ ...http, ...usage })
    .flatMap(([name, value]): [Schema, string][] => (isSchema(value) ? [[value, name]] : []))
    // Every loader of modules has an order of its own.
    .toSorted(([, one], [, other]) => (one < other ? -1 : 1)),
);

/** A schema, with references in the place of named ones. */
export function described(schema: Schema): Json {
  const name = names.get(schema);
  return name === undefined ? body(schema) : { $ref: `#/components/schemas/${name}` };
}

/** Every named schema. */
export const components = (): { readonly [name: string]: Json } =>
  Object.fromEntries([...names].map(([schema, name]) => [name, body(schema)]));

function body(value: unknown): Json {
  if (Array.isArray(value)) return value.map(inner);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, inner(one)]));
  }
  // Numbers, texts and the like are JSON; anything else would be no schema.
  return value as Json;
}

const inner = (value: unknown): Json =>
  isSchema(value) && names.has(value) ? described(value) : body(value);
