/**
 * The messages of a conversation, oldest first: the whole tree, or the path from its first message
 * to its head. A parent's revision is always below its child's, so one key orders both.
 */
import type { Message, Page } from "../../schemas/http.ts";
import { limits } from "../../schemas/limits.ts";
import type { SqlRow, TenantSql } from "../postgres.ts";
import type { MessageRow } from "../projectors/messages.ts";
import { pageSize, readCursor, writeCursor } from "./cursor.ts";

export interface MessagePage {
  readonly tenant: string;
  readonly conversation: string;
  /** Whose ratings are shown. */
  readonly reader?: string;
  /** The whole tree; else the path to the head. */
  readonly all: boolean;
  readonly cursor?: string;
  readonly limit: number;
}

/** What a page has no room for is not even read from where the database keeps long texts. */
const columns = `id::text, conversation::text, role,
  CASE WHEN bytes_before <= $6 THEN body ELSE '' END AS body, parent::text, turn::text, model,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at,
  status, finish, tokens_in, tokens_out, cost_usd::text, error_code, error_message, revision,
  (SELECT r.rating FROM read.ratings r WHERE r.tenant = $1 AND r.conversation = $2
     AND r.message = messages.id AND r.rater = $5) AS rating`;

// UNION, not UNION ALL: even a ring of parents, which no valid log holds, would come to an end.
const path = `WITH RECURSIVE path (id, parent) AS (
    SELECT m.id, m.parent FROM read.message_heads h
    JOIN read.messages m ON m.tenant = h.tenant AND m.conversation = h.conversation AND m.id = h.head
    WHERE h.tenant = $1 AND h.conversation = $2
  UNION
    SELECT m.id, m.parent FROM path
    JOIN read.messages m ON m.tenant = $1 AND m.conversation = $2 AND m.id = path.parent
)`;

const isPlace = (place: readonly unknown[]): place is [number] =>
  place.length === 1 &&
  Number.isInteger(place[0]) &&
  Number(place[0]) >= 1 &&
  Number(place[0]) < 2 ** 31;

/** A row as the API shows it, whether it was stored or has just been folded (`history.ts`). */
export function messageOf(row: MessageRow, rating: Message["rating"]): Message {
  const { id, conversation, body: text, parent, turn, model, status, revision } = row;
  const { tokens_in: tokensIn, tokens_out: tokensOut, cost_usd: costUsd } = row;
  const { error_code: code, error_message } = row;
  // The fold writes only these words.
  const { role, finish } = row as Pick<Message, "role" | "finish">;
  return {
    ...{ id, conversation, role, text, parent, turn, model, citations: [] },
    ...{ createdAt: row.created_at, status, finish },
    usage:
      tokensIn === null ? null : { tokensIn, tokensOut: tokensOut ?? 0, costUsd: costUsd ?? "" },
    error: code === null ? null : { code, message: error_message ?? "" },
    rating,
    revision,
  };
}

// The select above has the columns that are used here; the contract suite checks it.
const message = ({ rating, ...row }: SqlRow): Message =>
  messageOf(row as MessageRow, rating as Message["rating"]);

/** The revision behind which a page begins: that of the last message before it; 0 for the first. */
export const pageStart = (cursor: string | undefined): number =>
  cursor === undefined ? 0 : readCursor("messages", cursor, isPlace)[0];

/** A page made of its messages and one more, when there is one; of long texts it ends early (I11). */
export function messagePage(found: readonly Message[], size: number): Page<Message> {
  const items: Message[] = [];
  let bytes = 0;
  for (const one of found) {
    if (items.length === size || bytes > limits.page_bytes_max) break;
    items.push(one);
    bytes += Buffer.byteLength(one.text);
  }
  const last = items.at(-1);
  const more = found.length > items.length && last !== undefined;
  return { items, next: more ? writeCursor("messages", [last.revision]) : null };
}

export async function listMessages(sql: TenantSql, page: MessagePage): Promise<Page<Message>> {
  const after = pageStart(page.cursor);
  const size = pageSize(page.limit);
  const rows = await sql.query(
    `${page.all ? "" : path}
     SELECT ${columns} FROM (
       SELECT *, sum(octet_length(body)) OVER (ORDER BY revision) - octet_length(body) AS bytes_before
       FROM (
         SELECT * FROM read.messages
         WHERE tenant = $1 AND conversation = $2 AND revision > $3
           ${page.all ? "" : "AND id IN (SELECT path.id FROM path)"}
         ORDER BY revision LIMIT $4
       ) AS found
     ) AS messages
     ORDER BY revision`,
    [
      ...[page.tenant, page.conversation, after, size + 1, page.reader ?? null],
      limits.page_bytes_max,
    ],
  );
  return messagePage(rows.map(message), size);
}
