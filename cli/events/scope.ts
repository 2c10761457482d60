/** Which events a command is about: whose, of which type, and from where on. */
import { isKind, isTenant, isUuid, kinds } from "../../schemas/ids.ts";
import type { EventScope } from "../../schemas/subjects.ts";
import type { Arguments } from "../arguments.ts";
import { CliError, exit_usage } from "../config.ts";
import { nearest } from "../nearest.ts";
import { printable } from "../terminal.ts";

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
