/** A tenant's workspace: its name, who belongs to it, its invitations and API keys. */
import type { Page } from "../../schemas/http.ts";
import { isUserId, isUuid, workspaceRef } from "../../schemas/ids.ts";
import type { Role, Scope } from "../../schemas/permissions.ts";
import type { SqlRow, SqlValue, TenantSql } from "../postgres.ts";
import { type CursorList, pageSize, readCursor, writeCursor } from "./cursor.ts";

export interface Workspace {
  readonly name: string;
  /** When somebody opened it; null while nobody did. */
  readonly openedAt: string | null;
  readonly updatedAt: string;
}

export interface Member {
  readonly user: string;
  readonly role: Role;
  readonly joinedAt: string;
  readonly changedAt: string;
}

export interface Invitation {
  readonly id: string;
  readonly status: "open" | "revoked" | "accepted";
  readonly role: Role;
  readonly email: string | null;
  readonly user: string | null;
  readonly createdBy: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly acceptedBy: string | null;
}

export interface ApiKey {
  readonly id: string;
  readonly user: string;
  readonly name: string;
  readonly scopes: readonly Scope[];
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly revokedAt: string | null;
}

export interface TenantPage {
  readonly tenant: string;
  readonly cursor?: string;
  readonly limit: number;
}

const stamp = (column: string, name: string): string =>
  `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "${name}"`;
const actor = (tenant: string): SqlValue[] => [tenant, workspaceRef(tenant).id];

export async function oneWorkspace(sql: TenantSql, tenant: string): Promise<Workspace | null> {
  const [row] = await sql.query(
    `SELECT name, ${stamp("opened_at", "openedAt")}, ${stamp("updated_at", "updatedAt")}
     FROM read.workspaces WHERE tenant = $1 AND workspace = $2`,
    actor(tenant),
  );
  // Of all selects here: they have exactly the fields and types of what they give, and the folds
  // copy words from events, where the schema allows no others; the contract suite checks it.
  return row === undefined ? null : (row as object as Workspace);
}

const memberColumns = `user_id AS "user", role, ${stamp("joined_at", "joinedAt")},
  ${stamp("changed_at", "changedAt")}`;

/** Null for who is no member, or no longer. */
export async function oneMember(
  sql: TenantSql,
  tenant: string,
  user: string,
): Promise<Member | null> {
  const [row] = await sql.query(
    `SELECT ${memberColumns} FROM read.members
     WHERE tenant = $1 AND workspace = $2 AND user_id = $3 AND role IS NOT NULL`,
    [...actor(tenant), user],
  );
  return row === undefined ? null : (row as object as Member); // as above
}

export async function listMembers(sql: TenantSql, page: TenantPage): Promise<Page<Member>> {
  const after = startOf("members", page, (place) => typeof place === "string" && isUserId(place));
  const rows = await sql.query(
    `SELECT ${memberColumns} FROM read.members
     WHERE tenant = $1 AND workspace = $2 AND role IS NOT NULL
       AND ($3::text IS NULL OR user_id > $3)
     ORDER BY user_id LIMIT $4`,
    [...actor(page.tenant), after, pageSize(page.limit) + 1],
  );
  const found = rows.map((row) => row as object as Member); // as above
  return pageOf("members", found, page, ({ user }) => user);
}

const invitationColumns = `invitation::text AS id, status, role, email, for_user AS "user",
  created_by AS "createdBy", ${stamp("created_at", "createdAt")},
  ${stamp("expires_at", "expiresAt")}, accepted_by AS "acceptedBy"`;

/** Whatever became of it. */
export async function oneInvitation(
  sql: TenantSql,
  tenant: string,
  id: string,
): Promise<Invitation | null> {
  const [row] = await sql.query(
    `SELECT ${invitationColumns} FROM read.invitations
     WHERE tenant = $1 AND workspace = $2 AND invitation = $3`,
    [...actor(tenant), id],
  );
  return row === undefined ? null : (row as object as Invitation); // as above
}

/** The open ones, also those that are too old, by their ids. */
export async function listInvitations(sql: TenantSql, page: TenantPage): Promise<Page<Invitation>> {
  const rows = await sql.query(
    `SELECT ${invitationColumns} FROM read.invitations
     WHERE tenant = $1 AND workspace = $2 AND status = 'open'
       AND ($3::uuid IS NULL OR invitation > $3::uuid)
     ORDER BY invitation LIMIT $4`,
    [...actor(page.tenant), startOf("invitations", page, isUuid), pageSize(page.limit) + 1],
  );
  const found = rows.map((row) => row as object as Invitation); // as above
  return pageOf("invitations", found, page, ({ id }) => id);
}

const keyColumns = `api_key::text AS id, user_id AS "user", name, scopes,
  ${stamp("created_at", "createdAt")}, ${stamp("expires_at", "expiresAt")},
  ${stamp("revoked_at", "revokedAt")}`;
const apiKey = ({ scopes, ...row }: SqlRow): ApiKey =>
  ({ ...row, scopes: String(scopes).split(" ") }) as object as ApiKey; // as above

/** Also one that was revoked or is too old. */
export async function oneApiKey(
  sql: TenantSql,
  tenant: string,
  id: string,
): Promise<ApiKey | null> {
  const [row] = await sql.query(
    `SELECT ${keyColumns} FROM read.api_keys
     WHERE tenant = $1 AND workspace = $2 AND api_key = $3`,
    [...actor(tenant), id],
  );
  return row === undefined ? null : apiKey(row);
}

/** Those that were not revoked, of one user or, with null, of all, by their ids. */
export async function listApiKeys(
  sql: TenantSql,
  page: TenantPage & { readonly user: string | null },
): Promise<Page<ApiKey>> {
  const rows = await sql.query(
    `SELECT ${keyColumns} FROM read.api_keys
     WHERE tenant = $1 AND workspace = $2 AND revoked_at IS NULL
       AND ($3::uuid IS NULL OR api_key > $3::uuid) AND ($4::text IS NULL OR user_id = $4)
     ORDER BY api_key LIMIT $5`,
    [...actor(page.tenant), startOf("keys", page, isUuid), page.user, pageSize(page.limit) + 1],
  );
  return pageOf("keys", rows.map(apiKey), page, ({ id }) => id);
}

/** The key behind which a page begins; null for the first. Throws `bad_cursor`. */
function startOf(
  list: CursorList,
  { cursor }: TenantPage,
  fits: (place: unknown) => boolean,
): string | null {
  if (cursor === undefined) return null;
  const isPlace = (place: readonly unknown[]): place is [string] =>
    place.length === 1 && fits(place[0]);
  return readCursor(list, cursor, isPlace)[0];
}

/** A page made of its items and one more, when there is one. */
function pageOf<T>(
  list: CursorList,
  found: readonly T[],
  { limit }: TenantPage,
  keyOf: (item: T) => string,
): Page<T> {
  const size = pageSize(limit);
  const items = found.slice(0, size);
  const last = items.at(-1);
  const more = found.length > size && last !== undefined;
  return { items, next: more ? writeCursor(list, [keyOf(last)]) : null };
}
