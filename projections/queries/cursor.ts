/**
 * Opaque cursors of keyset pages: base64url of a JSON array that begins with the list's name. They
 * grant nothing: tenant, owner and conversation of a query come from the request, never from its
 * cursor, so a forged one can only begin elsewhere in a list that its sender may read (I10).
 */
import { AppError } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { parseJson } from "../../schemas/validate.ts";

export type CursorList =
  | ("conversations" | "messages" | "events" | "audit" | "usage")
  | ("members" | "invitations" | "keys");

const cursor_chars_max = 512;

export const writeCursor = (list: CursorList, place: readonly (string | number)[]): string =>
  Buffer.from(JSON.stringify([list, ...place])).toString("base64url");

/** The place in the list; `AppError("bad_cursor")` when this list never gave out such a cursor. */
export function readCursor<T extends readonly (string | number)[]>(
  list: CursorList,
  cursor: string,
  fits: (place: readonly unknown[]) => place is T,
): T {
  if (cursor.length <= cursor_chars_max && /^[A-Za-z0-9_-]+$/.test(cursor)) {
    const bytes = Buffer.from(cursor, "base64url");
    const parsed = parseJson(bytes.toString("utf8"));
    if (Array.isArray(parsed) && parsed[0] === list && bytes.toString("base64url") === cursor) {
      const place: readonly unknown[] = parsed.slice(1);
      if (fits(place)) return place;
    }
  }
  throw new AppError("bad_cursor");
}

/** A page's size, forced into 1 … `page_max`. */
export const pageSize = (limit: number): number =>
  Math.min(Math.max(Math.trunc(limit) || limits.page_default, 1), limits.page_max);
