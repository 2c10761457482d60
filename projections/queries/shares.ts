/** Whom one conversation is shared with. */
import type { Share } from "../../schemas/http.ts";
import type { TenantSql } from "../postgres.ts";

/** All of them, by user: there are no more than `shares_per_conversation_max`. */
export async function listShares(
  sql: TenantSql,
  tenant: string,
  conversation: string,
): Promise<readonly Share[]> {
  const rows = await sql.query(
    `SELECT reader AS "user", role FROM read.shares
     WHERE tenant = $1 AND conversation = $2 AND role IS NOT NULL ORDER BY reader`,
    [tenant, conversation],
  );
  // The select has exactly the fields of the schema, and the fold writes only its roles.
  return rows as unknown[] as Share[];
}
