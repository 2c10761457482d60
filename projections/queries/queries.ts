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
import { isTenant, isUuid, type Kind } from "../../schemas/ids.ts";
import type { UsageList } from "../../schemas/usage.ts";
import type { Database } from "../postgres.ts";
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
  /** Whom it is shared with, by user. Throws `stale`. */
  shares(tenant: string, id: string, minSeq?: number): Promise<readonly Share[]>;
  /** Oldest first; `all: false` is the path to the head. */
  messages(page: MessagePage & Fresh): Promise<Page<Message>>;
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

/** `follow` brings announced positions: `(on) => followPositions(streams, on)`. */
export function openQueries(database: Database, follow: FollowPositions): Queries {
  const freshness = watchFreshness(database, follow);

  const notParked = async (
    projector: string,
    tenant: string,
    id: string,
    kind: Kind = "conversation",
  ): Promise<void> => {
    const parked = await database.tenant(tenant).query(
      `SELECT 1 FROM read.parked
       WHERE tenant = $1 AND kind = $2 AND id = $3 AND projector = $4`,
      [tenant, kind, id, projector],
    );
    if (parked.length > 0) throw new AppError("stale", "The read model of it is parked.");
  };

  return {
    async conversations(page) {
      await freshness.reached(["conversations", "shares"], page.minSeq);
      return listConversations(database.tenant(page.tenant), page);
    },
    async conversation(tenant, id, minSeq) {
      if (!isTenant(tenant) || !isUuid(id)) return null;
      await freshness.reached(["conversations"], minSeq);
      await notParked("conversations", tenant, id);
      return oneConversation(database.tenant(tenant), tenant, id);
    },
    async shares(tenant, id, minSeq) {
      if (!isTenant(tenant) || !isUuid(id)) return [];
      await freshness.reached(["shares"], minSeq);
      await notParked("shares", tenant, id);
      return listShares(database.tenant(tenant), tenant, id);
    },
    async messages(page) {
      if (!isTenant(page.tenant) || !isUuid(page.conversation)) return { items: [], next: null };
      await freshness.reached(["messages", "ratings"], page.minSeq);
      await notParked("messages", page.tenant, page.conversation);
      return listMessages(database.tenant(page.tenant), page);
    },
    async audit(page) {
      await freshness.reached(["audit"], page.minSeq);
      const [list, parked] = await Promise.all([
        listAudit(database.tenant(page.tenant), page),
        parkedActors(database.tenant(page.tenant), page),
      ]);
      return { ...list, parked };
    },
    async usage(page) {
      await freshness.reached(["model_calls", "conversations"], page.minSeq);
      return readUsage(database.tenant(page.tenant), page);
    },
    identity: identities(database, async (projector, { tenant, kind, id }, minSeq) => {
      await freshness.reached([projector], minSeq);
      await notParked(projector, tenant, id, kind);
    }),
    positions: freshness.positions,
    stop: freshness.stop,
  };
}
