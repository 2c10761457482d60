/**
 * Conditional requests (RFC 9110 §13): a read that is answered with 304 when its reader has it already,
 * and a change that is refused with 412 when somebody else was faster.
 */
import { createHash } from "node:crypto";
import { AppError } from "../../schemas/errors.ts";
import type { Exchange } from "./exchange.ts";

/** The strong ETag of what changes only with an event of its actor: the number of the last that did. */
export const revisionTag = (revision: number): string => `"${revision}"`;

/** The same of what also shows things of elsewhere, as the caller's role: with what is shown. */
export const shownTag = (revision: number, shown: object): string =>
  `"${revision}-${digestOf(Buffer.from(JSON.stringify(shown)))}"`;

/** The strong ETag of an answer's very bytes. */
export const bytesTag = (bytes: Uint8Array): string => `"${digestOf(bytes)}"`;

const digestOf = (bytes: Uint8Array): string =>
  createHash("sha256").update(bytes).digest("base64url").slice(0, 22);

/** Whether `If-None-Match` names it, by the weak comparison. */
export function isKnown(exchange: Exchange, tag: string): boolean {
  const known = exchange.header("if-none-match").split(",");
  return known.some((one) => one.trim() === "*" || one.trim().replace(/^W\//, "") === tag);
}

/**
 * The revision that `If-Match` asks for; undefined when any will do. Whether it still stands there is
 * for its actor to say, who alone cannot be overtaken. Throws `bad_request`, and `precondition_failed`
 * for an ETag that names no revision.
 */
function expectedRevision(exchange: Exchange): number | undefined {
  const wished = exchange.header("if-match").trim();
  if (wished === "" || wished === "*") return undefined;
  if (wished.includes(",")) throw new AppError("bad_request", "If-Match names one ETag");
  const revision = /^"(0|[1-9]\d{0,14})(?:-[\w-]{22})?"$/.exec(wished)?.[1];
  if (revision === undefined) throw new AppError("precondition_failed");
  return Number(revision);
}

/** What a command carries when it shall only be done at the revision that `If-Match` asks for. */
export function onlyAt(exchange: Exchange): { ifRevision?: number } {
  const revision = expectedRevision(exchange);
  return revision === undefined ? {} : { ifRevision: revision };
}
