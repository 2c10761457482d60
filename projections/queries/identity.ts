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
import type { Database, TenantSql } from "../postgres.ts";
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
  names(users: readonly string[], minSeq?: number): Promise<readonly AccountName[]>;
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

export interface Standing {
  /** Waits until a projector has reached a sequence. */
  reached(projector: string, minSeq: number | undefined): Promise<void>;
  /** Throws `stale` for a parked actor. */
  notParked(sql: TenantSql, projector: string, ref: ActorRef): Promise<void>;
}

export function identities(database: Database, { reached, notParked }: Standing): Identities {
  /** Asks once the projector is there, in one round trip with whether the actor is parked. */
  const ask = async <T>(
    projector: string,
    ref: ActorRef,
    minSeq: number | undefined,
    read: (sql: TenantSql) => Promise<T>,
  ): Promise<T> => {
    await reached(projector, minSeq);
    const sql = database.tenant(ref.tenant);
    const [found] = await Promise.all([read(sql), notParked(sql, projector, ref)]);
    return found;
  };
  const ofAccount = <T>(
    id: string,
    minSeq: number | undefined,
    read: (sql: TenantSql) => Promise<T>,
  ): Promise<T> => ask("accounts", accountRef(id), minSeq, read);
  const ofWorkspace = <T>(
    tenant: string,
    minSeq: number | undefined,
    read: (sql: TenantSql) => Promise<T>,
  ): Promise<T> => ask("workspaces", workspaceRef(tenant), minSeq, read);
  return {
    async account(id, minSeq) {
      return isUuid(id) ? ofAccount(id, minSeq, (sql) => oneAccount(sql, id)) : null;
    },
    async sessions(id, minSeq) {
      return isUuid(id) ? ofAccount(id, minSeq, (sql) => sessionsOf(sql, id)) : [];
    },
    async names(users, minSeq) {
      await reached("accounts", minSeq);
      return namesOf(database.tenant(accountRef("").tenant), users);
    },
    async workspace(tenant, minSeq) {
      if (!isHomeTenant(tenant)) return null;
      return ofWorkspace(tenant, minSeq, (sql) => oneWorkspace(sql, tenant));
    },
    async member(tenant, user, minSeq) {
      if (!isHomeTenant(tenant) || !isUserId(user)) return null;
      return ofWorkspace(tenant, minSeq, (sql) => oneMember(sql, tenant, user));
    },
    members: (page) => ofWorkspace(page.tenant, page.minSeq, (sql) => listMembers(sql, page)),
    async invitation(tenant, id, minSeq) {
      if (!isHomeTenant(tenant) || !isUuid(id)) return null;
      return ofWorkspace(tenant, minSeq, (sql) => oneInvitation(sql, tenant, id));
    },
    invitations: (page) =>
      ofWorkspace(page.tenant, page.minSeq, (sql) => listInvitations(sql, page)),
    async apiKey(tenant, id, minSeq) {
      if (!isHomeTenant(tenant) || !isUuid(id)) return null;
      return ofWorkspace(tenant, minSeq, (sql) => oneApiKey(sql, tenant, id));
    },
    apiKeys: (page) => ofWorkspace(page.tenant, page.minSeq, (sql) => listApiKeys(sql, page)),
  };
}
