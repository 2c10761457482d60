/**
 * Who did what when: one row per commit of every kind of actor, and nothing of what anybody wrote. A
 * row is only ever added, so those of a deleted actor stay: the audit keeps the fact.
 *
 * What workers commit by themselves is in it as well: an ending says what an answer used and cost, an
 * attempt that was lost or failed that a provider was sent something, a title that it was not a
 * person's. Only `turn.checkpointed` is left out: it is a part of an answer whose begin and end are
 * both here, every few seconds of it. An event type that comes new is in it unless it is named here.
 */
import type { EventType } from "../../schemas/events.ts";
import { kinds } from "../../schemas/ids.ts";
import type { Projector, Row, Sheet, Table } from "../projector.ts";

const left_out: ReadonlySet<string> = new Set<EventType>(["turn.checkpointed"]);

/** What happens all the time. A commit with anything else is `rare`, and has an index of its own. */
export const everyday: ReadonlySet<string> = new Set<EventType>([
  ...(["conversation.started", "conversation.titled", "message.added", "model.attempted"] as const),
  ...(["turn.queued", "turn.started", "turn.checkpointed", "turn.completed"] as const),
]);

export interface AuditRow extends Row {
  readonly tenant: string;
  readonly kind: string;
  readonly actor: string;
  /** The numbers of its first and last event. */
  readonly revision: number;
  readonly last_revision: number;
  readonly sequence: number;
  readonly at: string;
  readonly by_type: string;
  readonly by_id: string;
  /** The types of its events, each once, separated by spaces. */
  readonly actions: string;
  readonly rare: boolean;
  readonly command: string;
  readonly commit_id: string;
  /** Of the `traceparent` that its command came with (W3C Trace Context); null without one. */
  readonly trace_id: string | null;
}

const newest = "at DESC, sequence DESC";
const table: Table = {
  name: "audit",
  columns: {
    tenant: 'text COLLATE "C"',
    kind: 'text COLLATE "C"',
    actor: "uuid",
    revision: "integer",
    last_revision: "integer",
    sequence: "bigint",
    at: "timestamptz(3)",
    by_type: "text",
    by_id: 'text COLLATE "C"',
    actions: "text",
    rare: "boolean",
    command: "uuid",
    commit_id: "uuid",
    trace_id: 'text COLLATE "C"',
  },
  nullable: ["trace_id"],
  key: ["tenant", "kind", "actor", "revision"],
  indexes: [
    `(tenant, ${newest})`,
    `(tenant, by_id, ${newest})`,
    `(tenant, ${newest}) WHERE rare`,
    "(tenant, command)",
    "(tenant, trace_id) WHERE trace_id IS NOT NULL",
  ],
  hidden: [],
};

const sheet: Sheet<AuditRow> = {
  table,
  part: null,
  wants: () => undefined,
  fold(rows, _, { ref, revision, last, at, first, commit }) {
    if (!first) return;
    const types = new Set(commit.events.map(({ type }) => type));
    if ([...types].every((type) => left_out.has(type))) return;
    rows.put(String(revision), {
      ...{ tenant: ref.tenant, kind: ref.kind, actor: ref.id },
      ...{ revision, last_revision: last, sequence: commit.sequence, at },
      ...{ by_type: commit.by.type, by_id: commit.by.id },
      actions: [...types].join(" "),
      rare: [...types].some((type) => !everyday.has(type)),
      ...{ command: commit.command, commit_id: commit.commit },
      trace_id: traceOf(commit.traceparent),
    });
  },
};

const traceOf = (traceparent: string | null): string | null =>
  /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(traceparent ?? "")?.[1] ?? null;

export const audit: Projector = { name: "audit", version: 1, kinds, sheets: [sheet] };
