/** One row per conversation. A deleted one keeps its row, without its title. */
import type { DomainEvent } from "../../schemas/events.ts";
import { isEnding } from "../../schemas/events.ts";
import type { Projector, Row, Sheet, Table } from "../projector.ts";
import { follow } from "./branch.ts";

export interface ConversationRow extends Row {
  readonly tenant: string;
  readonly id: string;
  readonly title: string | null;
  readonly status: "active" | "archived" | "deleted";
  readonly revision: number;
  readonly created_at: string;
  readonly updated_at: string;
  readonly owner: string | null;
  readonly origin: string;
  readonly model: string | null;
  readonly overlap: string;
  readonly head: string | null;
  readonly turn: string | null;
  /** Turns that wait, separated by spaces. */
  readonly queued: string;
}

const table: Table = {
  name: "conversations",
  columns: {
    tenant: 'text COLLATE "C"',
    id: "uuid",
    title: "text",
    status: "text",
    revision: "integer",
    created_at: "timestamptz(3)",
    updated_at: "timestamptz(3)",
    owner: 'text COLLATE "C"',
    origin: "text",
    model: "text",
    overlap: "text",
    head: "uuid",
    turn: "uuid",
    queued: "text",
  },
  nullable: ["title", "owner", "model", "head", "turn"],
  key: ["tenant", "id"],
  indexes: ["(tenant, owner, origin, status, updated_at DESC, id DESC)"],
  hidden: ["queued"],
};

const sheet: Sheet<ConversationRow> = {
  table,
  part: null,
  wants: () => null,
  fold(rows, event, place) {
    const before = rows.get(null);
    if (event.type === "conversation.started") {
      if (before !== undefined) throw new Error("the conversation begins a second time");
      if (place.revision !== 1) throw new Error("the conversation begins in the middle");
      const { owner, origin, model, overlap } = event.data;
      rows.put(null, {
        tenant: place.ref.tenant,
        id: place.ref.id,
        title: null,
        status: "active",
        revision: 1,
        created_at: place.at,
        updated_at: place.at,
        ...{ owner, origin, model, overlap, head: null, turn: null, queued: "" },
      });
      return;
    }
    if (before === undefined) throw new Error("the conversation has no beginning");
    if (before.revision + 1 !== place.revision) {
      throw new Error(`event ${place.revision} does not follow event ${before.revision}`);
    }
    const changed = evolve(before, event);
    rows.put(null, { ...changed, revision: place.revision, updated_at: place.at });
  },
};

function evolve(row: ConversationRow, event: DomainEvent): ConversationRow {
  switch (event.type) {
    case "conversation.titled":
      return row.status === "deleted" ? row : { ...row, title: event.data.title };
    case "conversation.configured":
      return { ...row, ...event.data };
    case "conversation.archived":
      return { ...row, status: "archived" };
    case "conversation.restored":
      return { ...row, status: "active" };
    case "conversation.deleted":
      return { ...row, status: "deleted", title: null };
    case "turn.started":
      return { ...row, ...follow(row, event), turn: event.data.turn };
    default: {
      const ended = isEnding(event.type) && "turn" in event.data && event.data.turn === row.turn;
      return { ...row, ...follow(row, event), turn: ended ? null : row.turn };
    }
  }
}

export const conversations: Projector = {
  name: "conversations",
  version: 1,
  kinds: ["conversation"],
  sheets: [sheet],
};
