/** The list of conversations, and one of them. */
import type { Conversation, Page, StoredConversation } from "../../schemas/http.ts";
import { isUuid } from "../../schemas/ids.ts";
import type { SqlRow, TenantSql } from "../postgres.ts";
import type { ConversationRow } from "../projectors/conversations.ts";
import { pageSize, readCursor, writeCursor } from "./cursor.ts";

export interface ConversationPage {
  readonly tenant: string;
  /** Whose list it is. */
  readonly user: string;
  /** Only what is shared with the user, or only what is the user's own; else both. */
  readonly shared?: boolean;
  /** Active when absent. */
  readonly status?: "active" | "archived";
  /** Chat when absent. */
  readonly origin?: "chat" | "api";
  readonly cursor?: string;
  readonly limit: number;
}

const columns = `conversations.id::text, title, status, conversations.revision, owner, origin, model, overlap, head::text, turn::text,
  to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at,
  to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS updated_at`;

/** A row as the API shows it, whether it was stored or has just been folded (`history.ts`). */
export function conversationOf(row: ConversationRow): StoredConversation {
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
const conversation = (row: SqlRow): StoredConversation => conversationOf(row as ConversationRow);

const isPlace = (place: readonly unknown[]): place is [string, string] =>
  place.length === 2 &&
  typeof place[0] === "string" &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(place[0]) &&
  !Number.isNaN(Date.parse(place[0])) &&
  isUuid(place[1]);

/** What a half of the list must be like, and its newest: each is no longer than the page. */
const listed = `origin = $3 AND status = $4
    AND ($5::timestamptz IS NULL OR (updated_at, conversations.id) < ($5::timestamptz, $6::uuid))
  ORDER BY conversations.updated_at DESC, conversations.id DESC LIMIT $7`;
const keys = "conversations.updated_at AS changed, conversations.id AS key";
const owned = `(SELECT ${columns}, ${keys}, 'owner' AS access FROM read.conversations
  WHERE tenant = $1 AND owner = $2 AND ${listed})`;
const sharedWith = `(SELECT ${columns}, ${keys}, shares.role AS access
  FROM read.shares JOIN read.conversations
    ON conversations.tenant = shares.tenant AND conversations.id = shares.conversation
  WHERE shares.tenant = $1 AND shares.reader = $2 AND shares.role IS NOT NULL AND ${listed})`;

export async function listConversations(
  sql: TenantSql,
  page: ConversationPage,
): Promise<Page<Conversation>> {
  const place =
    page.cursor === undefined ? null : readCursor("conversations", page.cursor, isPlace);
  const size = pageSize(page.limit);
  const [own, shared] = [page.shared !== true, page.shared !== false];
  const halves = [...(own ? [owned] : []), ...(shared ? [sharedWith] : [])];
  const rows = await sql.query(
    `SELECT * FROM (${halves.join(" UNION ALL ")}) AS found
     ORDER BY changed DESC, key DESC LIMIT $7`,
    [
      page.tenant,
      page.user,
      page.origin ?? "chat",
      page.status ?? "active",
      place?.[0] ?? null,
      place?.[1] ?? null,
      size + 1,
    ],
  );
  const items = rows.slice(0, size).map((row) => ({
    ...conversation(row),
    // The select gives `owner`, and the fold of shares writes only its roles.
    ...({ access: row["access"], shares: null } as Pick<Conversation, "access" | "shares">),
  }));
  const last = items.at(-1);
  const more = rows.length > size && last !== undefined;
  return { items, next: more ? writeCursor("conversations", [last.updatedAt, last.id]) : null };
}

export async function oneConversation(
  sql: TenantSql,
  tenant: string,
  id: string,
): Promise<StoredConversation | null> {
  const [row] = await sql.query(
    `SELECT ${columns} FROM read.conversations WHERE tenant = $1 AND id = $2`,
    [tenant, id],
  );
  return row === undefined ? null : conversation(row);
}
