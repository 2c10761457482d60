/**
 * Statements that see one tenant. In front of them goes another that sets the tenant, and the role
 * that must obey row-level security, for this transaction only; all travel in one write, up to one
 * Sync, so they are one transaction and one round trip. PGlite, one session for everybody, forgets
 * the settings at that Sync as a server does.
 */
import type pg from "pg";
import { type Rows, runStatements, type Statement } from "./statements.ts";

/** The role that a tenant's queries run under, where the database's user may take it. */
export const reader_role = "colloquy_reader";

/** Whether this user may take it. Since Postgres 16 being a member does not say so. */
export const may_take = `(CASE WHEN current_setting('server_version_num')::integer >= 160000
  THEN pg_has_role(current_user, r.oid, 'SET') ELSE pg_has_role(current_user, r.oid, 'MEMBER') END)`;

/** `OFFSET 1` computes the row and does not send it: an answer without rows needs no description. */
const prelude = {
  reader: `SELECT set_config('role', '${reader_role}', true), set_config('colloquy.tenant', $1, true) OFFSET 1`,
  owner: "SELECT set_config('colloquy.tenant', $1, true) OFFSET 1",
} as const;

/** `reader`: as the role; `owner`: as the database's user, who then obeys by FORCE. */
export type ReadAs = keyof typeof prelude;

/** Resolves with the rows of each statement; throws what the driver throws. */
export async function tenantQuery(
  client: pg.ClientBase,
  types: pg.CustomTypesConfig,
  as: ReadAs,
  tenant: string,
  statements: readonly Statement[],
): Promise<readonly Rows[]> {
  const before: Statement = { text: prelude[as], values: [tenant], kept: true, silent: true };
  return (await runStatements(client, [before, ...statements], types)).slice(1);
}
