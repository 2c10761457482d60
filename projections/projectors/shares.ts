/**
 * Whom conversations are shared with: one row per conversation and user. One that was unshared keeps
 * its row, without a role, since a fold removes all rows of its actor or none; a deleted conversation
 * is shared with nobody.
 */
import type { Projector, Row, Sheet, Table } from "../projector.ts";

export interface ShareRow extends Row {
  readonly tenant: string;
  readonly conversation: string;
  readonly reader: string;
  /** Null once it is not shared any more. */
  readonly role: string | null;
  /** The number of the event that it comes from. */
  readonly revision: number;
}

const table: Table = {
  name: "shares",
  columns: {
    tenant: 'text COLLATE "C"',
    conversation: "uuid",
    reader: 'text COLLATE "C"',
    role: "text",
    revision: "integer",
  },
  nullable: ["role"],
  key: ["tenant", "conversation", "reader"],
  indexes: ["(tenant, reader) WHERE role IS NOT NULL"],
  hidden: [],
};

const sheet: Sheet<ShareRow> = {
  table,
  part: null,
  wants: () => undefined,
  fold(rows, event, { ref, revision }) {
    if (event.type === "conversation.deleted") return rows.clear();
    if (event.type !== "conversation.shared" && event.type !== "conversation.unshared") return;
    const { user: reader } = event.data;
    const role = event.type === "conversation.shared" ? event.data.role : null;
    rows.put(reader, { tenant: ref.tenant, conversation: ref.id, reader, role, revision });
  },
};

export const shares: Projector = {
  name: "shares",
  version: 1,
  kinds: ["conversation"],
  reads: new Set(["conversation.shared", "conversation.unshared", "conversation.deleted"]),
  sheets: [sheet],
};
