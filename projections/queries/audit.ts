/**
 * The audit, newest first. The order is by time, then by place in the log, since two workers' clocks
 * may differ by moments. Every filter but those by
 * kind has an index that begins with the tenant.
 */
import type { EventType } from "../../schemas/events.ts";
import type { AuditEntry, AuditList, Page } from "../../schemas/http.ts";
import type { By, Kind } from "../../schemas/ids.ts";
import type { SqlRow, SqlValue, TenantSql } from "../postgres.ts";
import { everyday } from "../projectors/audit.ts";
import { pageSize, readCursor, writeCursor } from "./cursor.ts";

/** What an entry must be like; null: anything. */
export interface AuditFilter {
  readonly kind: Kind | null;
  /** The id of the actor that it happened to. */
  readonly actor: string | null;
  /** The id of whoever did it. */
  readonly by: string | null;
  readonly byType: By["type"] | null;
  /** An event that is in it. */
  readonly type: EventType | null;
  readonly command: string | null;
  readonly trace: string | null;
  /** ISO times; `to` itself is not in it. */
  readonly from: string | null;
  readonly to: string | null;
}

export interface AuditPage {
  readonly tenant: string;
  readonly filter: AuditFilter;
  readonly cursor?: string;
  readonly limit: number;
}

const columns = `kind, actor::text AS id, revision, last_revision AS "lastRevision", sequence,
  to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
  by_type, by_id, actions, command::text, commit_id::text AS commit, trace_id AS "traceId"`;

function entry({ by_type, by_id, actions, ...rest }: SqlRow): AuditEntry {
  const whole: object = {
    ...rest,
    by: { type: by_type, id: by_id },
    actions: String(actions).split(" "),
  };
  // The select above has exactly the fields and types of the schema; the contract suite checks it.
  return whole as AuditEntry;
}

const isPlace = (place: readonly unknown[]): place is [string, number] =>
  place.length === 2 &&
  typeof place[0] === "string" &&
  /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/.test(place[0]) &&
  !Number.isNaN(Date.parse(place[0])) &&
  Number.isSafeInteger(place[1]) &&
  Number(place[1]) >= 1;

/** More of them need no list but an operator. */
const parked_max = 100;

/** The actors of the page's tenant, or the one it asks for, whose later entries are missing. */
export async function parkedActors(
  sql: TenantSql,
  { tenant, filter }: Pick<AuditPage, "tenant" | "filter">,
): Promise<AuditList["parked"]> {
  const rows = await sql.query(
    `SELECT kind, id::text FROM read.parked
     WHERE projector = 'audit' AND tenant = $1
       AND ($2::text IS NULL OR kind = $2) AND ($3::uuid IS NULL OR id = $3::uuid)
     ORDER BY kind, parked.id LIMIT ${parked_max}`,
    [tenant, filter.kind, filter.actor],
  );
  // The columns hold what a runner wrote: the parts of an ActorRef.
  return rows as AuditList["parked"];
}

export async function listAudit(sql: TenantSql, page: AuditPage): Promise<Page<AuditEntry>> {
  const size = pageSize(page.limit);
  const values: SqlValue[] = [page.tenant];
  const holds = ["tenant = $1"];
  /** `?` stands for the value in the condition; both are ours, the value is data. */
  const where = (condition: string, value: SqlValue | null): void => {
    if (value === null) return;
    values.push(value);
    holds.push(condition.replace("?", `$${values.length}`));
  };
  const { kind, actor, by, byType, type, command, trace, from, to } = page.filter;
  where("kind = ?", kind);
  where("actor = ?::uuid", actor);
  where("by_id = ?", by);
  where("by_type = ?", byType);
  where("position(' ' || ?::text || ' ' IN ' ' || actions || ' ') > 0", type);
  // So that the index of what is rare can serve a search for it.
  if (type !== null && !everyday.has(type)) holds.push("rare");
  where("command = ?::uuid", command);
  where("trace_id = ?", trace);
  where("at >= ?::timestamptz", from);
  where("at < ?::timestamptz", to);
  if (page.cursor !== undefined) {
    const [at, sequence] = readCursor("audit", page.cursor, isPlace);
    values.push(at, sequence);
    const [n, last] = [values.length - 1, values.length];
    holds.push(`(at, sequence) < ($${n}::timestamptz, $${last}::bigint)`);
  }
  const rows = await sql.query(
    `SELECT ${columns} FROM read.audit WHERE ${holds.join(" AND ")}
     ORDER BY audit.at DESC, sequence DESC LIMIT $${values.length + 1}`,
    [...values, size + 1],
    false,
  );
  const items = rows.slice(0, size).map(entry);
  const last = items.at(-1);
  const more = rows.length > size && last !== undefined;
  return { items, next: more ? writeCursor("audit", [last.at, last.sequence]) : null };
}
