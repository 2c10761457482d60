/**
 * What the gateway may read. Every statement names the tenant first, reads only the views in schema
 * `read`, and runs where nothing of another tenant can be seen (I9, I10). An actor that a projector has parked is never shown as it was: `stale`.
 */
import { AppError } from "../../schemas/errors.ts";
import type {
  AuditList,
  Conversation,
  Message,
  Page,
  Share,
  StoredConversation,
} from "../../schemas/http.ts";
import { type ActorRef, isTenant, isUuid } from "../../schemas/ids.ts";
import type { UsageList } from "../../schemas/usage.ts";
import type { Database, TenantSql } from "../postgres.ts";
import { type AuditPage, listAudit, parkedActors } from "./audit.ts";
import { type ConversationPage, listConversations, oneConversation } from "./conversations.ts";
import { type FollowPositions, watchFreshness } from "./freshness.ts";
import { identities, type Identities } from "./identity.ts";
import { listShares } from "./shares.ts";
import { listMessages, type MessagePage } from "./messages.ts";
import { readUsage, type UsagePage } from "./usage.ts";

/** Waits until the projectors that a query reads have reached this EVENTS sequence. */
interface Fresh {
  readonly minSeq?: number;
}

export interface Queries {
  /** Newest `updatedAt` first, never deleted ones. Throws `bad_cursor`, `stale`. */
  conversations(page: ConversationPage & Fresh): Promise<Page<Conversation>>;
  /** Null when unknown; a deleted one comes with status "deleted". */
  conversation(tenant: string, id: string, minSeq?: number): Promise<StoredConversation | null>;
  /** Both in one round trip. */
  conversationAndShares(
    tenant: string,
    id: string,
    minSeq?: number,
  ): Promise<{
    readonly conversation: StoredConversation | null;
    readonly shares: readonly Share[];
  }>;
  /** Whom it is shared with, by user. Throws `stale`. */
  shares(tenant: string, id: string, minSeq?: number): Promise<readonly Share[]>;
  /** Oldest first; `all: false` is the path to the head. */
  messages(page: MessagePage & Fresh): Promise<Page<Message>>;
  /** The page's conversation, too, in one round trip. */
  conversationAndMessages(page: MessagePage & Fresh): Promise<{
    readonly conversation: StoredConversation | null;
    readonly messages: Page<Message>;
  }>;
  /** Newest first, and the parked actors whose later entries are missing. Throws `bad_cursor`, `stale`. */
  audit(page: AuditPage & Fresh): Promise<AuditList>;
  /** Who there is. */
  readonly identity: Identities;
  /** By day and model, the latest first, and the sum of all. Throws `bad_cursor`, `stale`. */
  usage(page: UsagePage & Fresh): Promise<UsageList>;
  /** Projector → EVENTS sequence that it has reached. */
  positions(): Promise<Readonly<Record<string, number>>>;
  /** Ends the following of positions. */
  stop(): void;
}

/**
 * `follow` brings announced positions: `(on) => followPositions(streams, on)`; `want` tells a runner of
 * this process what is waited for.
 */
export function openQueries(
  database: Database,
  follow: FollowPositions,
  want: (sequence: number) => void = () => undefined,
): Queries {
  const freshness = watchFreshness(database, follow, want);

  /** What `sql` is asked in the same moment comes in the same round trip. */
  const notParked = async (
    sql: TenantSql,
    projectors: readonly string[],
    { tenant, kind, id }: ActorRef,
  ): Promise<void> => {
    const parked = await sql.query(
      `SELECT 1 FROM read.parked
       WHERE tenant = $1 AND kind = $2 AND id = $3 AND projector = ANY($4)`,
      [tenant, kind, id, projectors],
    );
    if (parked.length > 0) throw new AppError("stale", "The read model of it is parked.");
  };
  const conversationRef = (tenant: string, id: string): ActorRef => ({
    ...{ tenant, kind: "conversation", id },
  });

  return {
    async conversations(page) {
      await freshness.reached(["conversations", "shares"], page.minSeq);
      return listConversations(database.tenant(page.tenant), page);
    },
    async conversation(tenant, id, minSeq) {
      if (!isTenant(tenant) || !isUuid(id)) return null;
      await freshness.reached(["conversations"], minSeq);
      const sql = database.tenant(tenant);
      const [row] = await Promise.all([
        oneConversation(sql, tenant, id),
        notParked(sql, ["conversations"], conversationRef(tenant, id)),
      ]);
      return row;
    },
    async conversationAndShares(tenant, id, minSeq) {
      if (!isTenant(tenant) || !isUuid(id)) return { conversation: null, shares: [] };
      await freshness.reached(["conversations", "shares"], minSeq);
      const sql = database.tenant(tenant);
      const [row, shares] = await Promise.all([
        oneConversation(sql, tenant, id),
        listShares(sql, tenant, id),
        notParked(sql, ["conversations", "shares"], conversationRef(tenant, id)),
      ]);
      return { conversation: row, shares };
    },
    async shares(tenant, id, minSeq) {
      if (!isTenant(tenant) || !isUuid(id)) return [];
      await freshness.reached(["shares"], minSeq);
      const sql = database.tenant(tenant);
      const [shares] = await Promise.all([
        listShares(sql, tenant, id),
        notParked(sql, ["shares"], conversationRef(tenant, id)),
      ]);
      return shares;
    },
    async messages(page) {
      const { tenant, conversation: id, minSeq } = page;
      if (!isTenant(tenant) || !isUuid(id)) return { items: [], next: null };
      await freshness.reached(["messages", "ratings"], minSeq);
      const sql = database.tenant(tenant);
      const [messages] = await Promise.all([
        listMessages(sql, page),
        notParked(sql, ["messages"], conversationRef(tenant, id)),
      ]);
      return messages;
    },
    async conversationAndMessages(page) {
      const { tenant, conversation: id, minSeq } = page;
      const none = { conversation: null, messages: { items: [], next: null } };
      if (!isTenant(tenant) || !isUuid(id)) return none;
      await freshness.reached(["conversations", "messages", "ratings"], minSeq);
      const sql = database.tenant(tenant);
      const [row, messages] = await Promise.all([
        oneConversation(sql, tenant, id),
        listMessages(sql, page),
        notParked(sql, ["conversations", "messages"], conversationRef(tenant, id)),
      ]);
      return { conversation: row, messages };
    },
    async audit(page) {
      await freshness.reached(["audit"], page.minSeq);
      const sql = database.tenant(page.tenant);
      const [list, parked] = await Promise.all([listAudit(sql, page), parkedActors(sql, page)]);
      return { ...list, parked };
    },
    async usage(page) {
      await freshness.reached(["model_calls", "conversations"], page.minSeq);
      return readUsage(database.tenant(page.tenant), page);
    },
    identity: identities(database, {
      reached: (projector, minSeq) => freshness.reached([projector], minSeq),
      notParked: (sql, projector, ref) => notParked(sql, [projector], ref),
    }),
    positions: freshness.positions,
    stop: freshness.stop,
  };
}
