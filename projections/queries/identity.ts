/**
 * What the gateway may ask about people: accounts, sessions, members, invitations and API keys. An
 * actor that is parked is never shown as it was: `stale`.
 */
import type { Page } from "../../schemas/http.ts";
import {
  accountRef,
  type ActorRef,
  isHomeTenant,
  isUserId,
  isUuid,
  workspaceRef,
} from "../../schemas/ids.ts";
import type { Database } from "../postgres.ts";
import {
  type Account,
  type AccountName,
  namesOf,
  oneAccount,
  type Session,
  sessionsOf,
} from "./accounts.ts";
import {
  type ApiKey,
  type Invitation,
  listApiKeys,
  listInvitations,
  listMembers,
  type Member,
  oneApiKey,
  oneInvitation,
  oneMember,
  oneWorkspace,
  type TenantPage,
  type Workspace,
} from "./workspaces.ts";

interface Fresh {
  readonly minSeq?: number;
}

/** Each waits, bounded, until `minSeq` is reached; throws `stale`, lists also `bad_cursor`. */
export interface Identities {
  /** Null when nobody registered it. */
  account(id: string, minSeq?: number): Promise<Account | null>;
  /** The open ones, the newest first. */
  sessions(account: string, minSeq?: number): Promise<readonly Session[]>;
  /** What others see of those users that have an account, in no order; at most a page of them. */
  names(users: readonly string[]): Promise<readonly AccountName[]>;
  /** Null while it has no name. */
  workspace(tenant: string, minSeq?: number): Promise<Workspace | null>;
  /** Null for who is no member of it. */
  member(tenant: string, user: string, minSeq?: number): Promise<Member | null>;
  members(page: TenantPage & Fresh): Promise<Page<Member>>;
  /** Whatever became of it. */
  invitation(tenant: string, id: string, minSeq?: number): Promise<Invitation | null>;
  invitations(page: TenantPage & Fresh): Promise<Page<Invitation>>;
  /** Also one that was revoked or is too old. */
  apiKey(tenant: string, id: string, minSeq?: number): Promise<ApiKey | null>;
  /** Those that were not revoked, of `user` or, with null, of all. */
  apiKeys(page: TenantPage & Fresh & { readonly user: string | null }): Promise<Page<ApiKey>>;
}

/** `ready` waits for a projector to reach a sequence, and throws `stale` for a parked actor. */
export function identities(
  database: Database,
  ready: (projector: string, ref: ActorRef, minSeq: number | undefined) => Promise<void>,
): Identities {
  const account = (id: string, minSeq?: number): Promise<void> =>
    ready("accounts", accountRef(id), minSeq);
  const workspace = (tenant: string, minSeq?: number): Promise<void> =>
    ready("workspaces", workspaceRef(tenant), minSeq);
  const accounts = () => database.tenant(accountRef("").tenant);
  return {
    async account(id, minSeq) {
      if (!isUuid(id)) return null;
      await account(id, minSeq);
      return oneAccount(accounts(), id);
    },
    async sessions(id, minSeq) {
      if (!isUuid(id)) return [];
      await account(id, minSeq);
      return sessionsOf(accounts(), id);
    },
    names: (users) => namesOf(accounts(), users),
    async workspace(tenant, minSeq) {
      if (!isHomeTenant(tenant)) return null;
      await workspace(tenant, minSeq);
      return oneWorkspace(database.tenant(tenant), tenant);
    },
    async member(tenant, user, minSeq) {
      if (!isHomeTenant(tenant) || !isUserId(user)) return null;
      await workspace(tenant, minSeq);
      return oneMember(database.tenant(tenant), tenant, user);
    },
    async members(page) {
      await workspace(page.tenant, page.minSeq);
      return listMembers(database.tenant(page.tenant), page);
    },
    async invitation(tenant, id, minSeq) {
      if (!isHomeTenant(tenant) || !isUuid(id)) return null;
      await workspace(tenant, minSeq);
      return oneInvitation(database.tenant(tenant), tenant, id);
    },
    async invitations(page) {
      await workspace(page.tenant, page.minSeq);
      return listInvitations(database.tenant(page.tenant), page);
    },
    async apiKey(tenant, id, minSeq) {
      if (!isHomeTenant(tenant) || !isUuid(id)) return null;
      await workspace(tenant, minSeq);
      return oneApiKey(database.tenant(tenant), tenant, id);
    },
    async apiKeys(page) {
      await workspace(page.tenant, page.minSeq);
      return listApiKeys(database.tenant(page.tenant), page);
    },
  };
}
