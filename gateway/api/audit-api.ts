/**
 * `GET /api/v1/audit`: who did what when in the caller's tenant, for its owners and admins. It holds
 * nothing that anybody wrote, so it shows conversations that the caller may not read.
 */
import type { AuditFilter } from "../../projections/queries/audit.ts";
import { eventTypes } from "../../schemas/events.ts";
import { AuditList } from "../../schemas/http.ts";
import { isUuid, kinds } from "../../schemas/ids.ts";
import { AuditQuery } from "../../schemas/parameters.ts";
import { timeOf } from "../../schemas/times.ts";
import { type Call, limitOf, oneOf, read, type Shown } from "../http/call.ts";
import { type Operation, operation } from "../http/operation.ts";

const uuid = (text: string): string | null => (isUuid(text) ? text : null);
const id = (text: string): string | null => (/^\P{Cc}{1,128}$/u.test(text) ? text : null);
const trace = (text: string): string | null => (/^[0-9a-f]{32}$/.test(text) ? text : null);
const time = "a day or a time with its zone, like 2026-11-21T05:00:00Z";

/** Throws `bad_request`, `bad_cursor`, `stale`. */
async function listAudit({ who, query, service, min_seq }: Call): Promise<Shown<AuditList>> {
  const cursor = query.get("cursor");
  const filter: AuditFilter = {
    kind: oneOf(query, "kind", kinds),
    actor: read(query, "actor", uuid, "a lowercase UUID"),
    by: read(query, "by", id, "an id of 1 to 128 characters"),
    byType: oneOf(query, "byType", ["user", "integration", "system"]),
    type: oneOf(query, "type", eventTypes),
    command: read(query, "command", uuid, "a lowercase UUID"),
    trace: read(query, "trace", trace, "32 hex digits"),
    from: read(query, "from", timeOf, time),
    to: read(query, "to", timeOf, time),
  };
  const value = await service.ports.queries.audit({
    tenant: who.tenant,
    limit: limitOf(query),
    filter,
    ...(cursor === null ? {} : { cursor }),
    ...(min_seq === 0 ? {} : { minSeq: min_seq }),
  });
  return { value, sequence: min_seq };
}

export const operations: readonly Operation[] = [
  operation({
    id: "listAudit",
    method: "GET",
    path: "/api/v1/audit",
    summary: "Who did what when in the tenant, newest first, without anything that was written.",
    tag: "history",
    access: "audit.read",
    limit: "read",
    query: AuditQuery,
    answers: { 200: AuditList },
    refuses: ["bad_cursor", "stale"],
    run: (call) => listAudit(call),
  }),
];
