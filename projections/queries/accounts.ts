/**
 * Accounts and their sessions. What is read here is one person's own, but for `namesOf`, which the
 * gateway asks only for people of the caller's tenant.
 */
import { accounts_tenant, isUuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { parseJson } from "../../schemas/validate.ts";
import type { TenantSql } from "../postgres.ts";
import type { AccountRow, SessionRow } from "../projectors/accounts.ts";

/** An account; a deleted one is blank. */
export interface Account {
  readonly id: string;
  readonly status: "active" | "deleted";
  readonly home: string;
  readonly email: string;
  readonly name: string;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly tenants: readonly string[];
  readonly createdAt: string;
  readonly updatedAt: string;
  /** The EVENTS sequence of its last commit. */
  readonly sequence: number;
}

export interface Session {
  readonly session: string;
  readonly tenant: string;
  readonly device: string;
  readonly openedAt: string;
  readonly refreshedAt: string;
  readonly expiresAt: string;
}

/** What others of a tenant see of an account. */
export interface AccountName {
  readonly id: string;
  readonly name: string;
  readonly email: string;
}

const stamp = (column: string): string =>
  `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS ${column}`;

export async function oneAccount(sql: TenantSql, id: string): Promise<Account | null> {
  const [found] = await sql.query(
    `SELECT id::text, status, home, email, name, settings, tenants, sequence,
       ${stamp("created_at")}, ${stamp("updated_at")}
     FROM read.accounts WHERE tenant = $1 AND id = $2`,
    [accounts_tenant, id],
  );
  if (found === undefined) return null;
  // The select above has the columns that are used here; the contract suite checks it.
  const row = found as AccountRow;
  const { status, home, email, name, sequence } = row;
  return {
    ...{ id: row.id, status, home, email, name, sequence },
    // The fold wrote a JSON object.
    settings: parseJson(row.settings) as Account["settings"],
    tenants: row.tenants.split(" ").filter((tenant) => tenant !== ""),
    ...{ createdAt: row.created_at, updatedAt: row.updated_at },
  };
}

/** The open ones, the newest first. */
export async function sessionsOf(sql: TenantSql, account: string): Promise<Session[]> {
  const rows = await sql.query(
    `SELECT session::text, at_tenant, device, ${stamp("opened_at")}, ${stamp("refreshed_at")},
       ${stamp("expires_at")}
     FROM read.account_sessions WHERE tenant = $1 AND account = $2 AND closed IS NULL
     ORDER BY account_sessions.opened_at DESC, account_sessions.session
     LIMIT ${limits.sessions_per_account_max}`,
    [accounts_tenant, account],
  );
  return rows.map((found) => {
    const row = found as SessionRow; // as above
    const { session, at_tenant: tenant, device } = row;
    const { opened_at: openedAt, refreshed_at: refreshedAt, expires_at: expiresAt } = row;
    return { session, tenant, device, openedAt, refreshedAt, expiresAt };
  });
}

/** Of those that have an account, in no order. */
export async function namesOf(sql: TenantSql, users: readonly string[]): Promise<AccountName[]> {
  const ids = users.filter(isUuid);
  if (ids.length === 0) return [];
  const rows = await sql.query(
    `SELECT id::text, name, email FROM read.accounts
     WHERE tenant = $1 AND id = ANY ($2::uuid[]) AND status = 'active'`,
    [accounts_tenant, ids],
  );
  return rows.map((row) => row as object as AccountName); // as above
}
