/**
 * The messages of a conversation, oldest first: the whole tree, or the path from its first message
 * to its head. A parent's revision is always below its child's, so one key orders both.
 */
import type { Message, Page } from "../../schemas/http.ts";
import type { Sql, SqlRow } from "../postgres.ts";
import { pageSize, readCursor, writeCursor } from "./cursor.ts";

export interface MessagePage {
  readonly tenant: string;
  readonly conversation: string;
  /** The whole tree; else the path to the head. */
  readonly all: boolean;
  readonly cursor?: string;
  readonly limit: number;
}

const columns = `id::text, conversation::text, role, body AS text, parent::text, turn::text, model,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt",
  status, finish, tokens_in, tokens_out, cost_usd::text, error_code, error_message, revision`;

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

function message(row: SqlRow): Message {
  const { tokens_in, tokens_out, cost_usd, error_code, error_message, ...rest } = row;
  const usage =
    tokens_in === null ? null : { tokensIn: tokens_in, tokensOut: tokens_out, costUsd: cost_usd };
  const error = error_code === null ? null : { code: error_code, message: error_message };
  // The select above has exactly the fields and types of the schema; the contract suite checks it.
  const whole: object = { ...rest, citations: [], usage, error };
  return whole as Message;
}

export async function listMessages(sql: Sql, page: MessagePage): Promise<Page<Message>> {
  const after = page.cursor === undefined ? 0 : readCursor("messages", page.cursor, isPlace)[0];
  const size = pageSize(page.limit);
  const rows = await sql.query(
    `${page.all ? "" : path}
     SELECT ${columns} FROM read.messages
     WHERE tenant = $1 AND conversation = $2 AND revision > $3
       ${page.all ? "" : "AND id IN (SELECT path.id FROM path)"}
     ORDER BY revision LIMIT $4`,
    [page.tenant, page.conversation, after, size + 1],
  );
  const items = rows.slice(0, size).map(message);
  const last = items.at(-1);
  const more = rows.length > size && last !== undefined;
  return { items, next: more ? writeCursor("messages", [last.revision]) : null };
}
