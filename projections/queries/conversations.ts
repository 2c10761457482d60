/** The list of conversations, and one of them. */
import type { Conversation, Page } from "../../schemas/http.ts";
import { isUuid } from "../../schemas/ids.ts";
import type { SqlRow, TenantSql } from "../postgres.ts";
import type { ConversationRow } from "../projectors/conversations.ts";
import { pageSize, readCursor, writeCursor } from "./cursor.ts";

export interface ConversationPage {
  readonly tenant: string;
  readonly owner: string;
  /** Active when absent. */
  readonly status?: "active" | "archived";
  /** Chat when absent. */
  readonly origin?: "chat" | "api";
  readonly cursor?: string;
  readonly limit: number;
}

const columns = `id::text, title, status, revision, owner, origin, model, overlap, head::text, turn::text,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at,
  to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS updated_at`;

/** A row as the API shows it, whether it was stored or has just been folded (`history.ts`). */
export function conversationOf(row: ConversationRow): Conversation {
  const { id, title, status, revision, owner, model, head, turn } = row;
  const { created_at: createdAt, updated_at: updatedAt } = row;
  // The fold copies both from events, where the schema allows nothing else.
  const { origin, overlap } = row as Pick<Conversation, "origin" | "overlap">;
  return {
    ...{ id, title, status, revision, createdAt, updatedAt },
    ...{ owner, origin, model, overlap, head, turn },
  };
}

// The select above has the columns that are used here; the contract suite checks it.
const conversation = (row: SqlRow): Conversation => conversationOf(row as ConversationRow);

const isPlace = (place: readonly unknown[]): place is [string, string] =>
  place.length === 2 &&
  typeof place[0] === "string" &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(place[0]) &&
  !Number.isNaN(Date.parse(place[0])) &&
  isUuid(place[1]);

export async function listConversations(
  sql: TenantSql,
  page: ConversationPage,
): Promise<Page<Conversation>> {
  const place =
    page.cursor === undefined ? null : readCursor("conversations", page.cursor, isPlace);
  const size = pageSize(page.limit);
  const rows = await sql.query(
    `SELECT ${columns} FROM read.conversations
     WHERE tenant = $1 AND owner = $2 AND origin = $3 AND status = $4
       AND ($5::timestamptz IS NULL OR (updated_at, id) < ($5::timestamptz, $6::uuid))
     ORDER BY updated_at DESC, conversations.id DESC LIMIT $7`,
    [
      page.tenant,
      page.owner,
      page.origin ?? "chat",
      page.status ?? "active",
      place?.[0] ?? null,
      place?.[1] ?? null,
      size + 1,
    ],
  );
  const items = rows.slice(0, size).map(conversation);
  const last = items.at(-1);
  const more = rows.length > size && last !== undefined;
  return { items, next: more ? writeCursor("conversations", [last.updatedAt, last.id]) : null };
}

export async function oneConversation(
  sql: TenantSql,
  tenant: string,
  id: string,
): Promise<Conversation | null> {
  const [row] = await sql.query(
    `SELECT ${columns} FROM read.conversations WHERE tenant = $1 AND id = $2`,
    [tenant, id],
  );
  return row === undefined ? null : conversation(row);
}
