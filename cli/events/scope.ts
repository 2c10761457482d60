/** Which events a command is about: whose, of which type, and from where on. */
import { eventTypes, isEventType } from "../../schemas/events.ts";
import { isKind, isTenant, isUuid, kinds } from "../../schemas/ids.ts";
import type { EventScope } from "../../schemas/subjects.ts";
import type { Arguments } from "../line/arguments.ts";
import { CliError, exit_usage } from "../line/cli-error.ts";
import { nearest } from "../line/nearest.ts";
import { printable } from "../line/terminal.ts";

export const scope_flags = {
  tenant: "<slug> only this tenant's",
  kind: `<${kinds.join("|")}> only of this kind`,
  id: "<uuid> only of this actor",
} as const;

/** Throws `CliError` with exit code 2. */
export function scopeOf(given: Arguments): EventScope {
  const [tenant, kind, id] = [given.value("tenant"), given.value("kind"), given.value("id")];
  if (tenant !== undefined && !isTenant(tenant)) wrong("--tenant is a slug of a-z, 0-9 and -.");
  if (kind !== undefined && !isKind(kind)) {
    wrong(`"${printable(kind)}" is no kind; did you mean ${nearest(kind, kinds)}?`);
  }
  if (id !== undefined && !isUuid(id)) wrong("--id is a lowercase UUID.");
  return { tenant, kind, id };
}

export function wrong(sentence: string): never {
  throw new CliError(sentence, exit_usage);
}

/** A place of the log as it is typed: a sequence, or a time. */
export type Typed = { readonly sequence: number } | { readonly time_ms: number };

/** Null when the flag was not given. Throws `CliError` with exit code 2. */
export function placeOf(given: Arguments, flag: "from" | "to"): Typed | null {
  const text = given.value(flag);
  if (text === undefined) return null;
  if (/^[1-9]\d{0,14}$/.test(text)) return { sequence: Number(text) };
  const time_ms = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(time_ms)
    ? wrong(`--${flag} is a sequence, or a time like 2026-01-31 or 2026-01-31T12:00:00Z.`)
    : { time_ms };
}

/** The event type that is asked for; null for all. Throws `CliError` with exit code 2. */
export function typeOf(given: Arguments): string | null {
  const type = given.value("type") ?? null;
  if (type === null || isEventType(type)) return type;
  return wrong(`"${printable(type)}" is no event; did you mean ${nearest(type, eventTypes)}?`);
}
