/**
 * The tree of a conversation's messages and its head. An answer's row exists from the moment its
 * turn is queued or started; its text grows with the checkpoints of the running attempt, and the
 * event that ends the turn sets it for good. Deleting the conversation removes its rows.
 */
import { errorBody } from "../../schemas/errors.ts";
import type { EventData, EndingType } from "../../schemas/events.ts";
import type { Place, Projector, Row, Rows, Sheet, Table } from "../projector.ts";
import { follow } from "./branch.ts";

export interface MessageRow extends Row {
  readonly tenant: string;
  readonly conversation: string;
  readonly id: string;
  readonly role: string;
  readonly body: string;
  readonly parent: string | null;
  readonly turn: string | null;
  readonly model: string | null;
  readonly created_at: string;
  readonly status: "done" | "queued" | "generating" | "cancelled" | "failed";
  readonly finish: string | null;
  readonly tokens_in: number | null;
  readonly tokens_out: number | null;
  readonly cost_usd: string | null;
  readonly error_code: string | null;
  readonly error_message: string | null;
  readonly revision: number;
  /** The attempt whose text this is. */
  readonly attempt: number;
}

const table: Table = {
  name: "messages",
  columns: {
    tenant: 'text COLLATE "C"',
    conversation: "uuid",
    id: "uuid",
    role: "text",
    body: "text",
    parent: "uuid",
    turn: "uuid",
    model: "text",
    created_at: "timestamptz(3)",
    status: "text",
    finish: "text",
    tokens_in: "bigint",
    tokens_out: "bigint",
    cost_usd: "numeric",
    error_code: "text",
    error_message: "text",
    revision: "integer",
    attempt: "integer",
  },
  nullable: [
    ...["parent", "turn", "model", "finish", "tokens_in", "tokens_out", "cost_usd"],
    ...["error_code", "error_message"],
  ],
  key: ["tenant", "conversation", "id"],
  indexes: ["(tenant, conversation, revision)", "(tenant, conversation, turn)"],
  hidden: ["attempt"],
};

const blank = {
  body: "",
  model: null,
  finish: null,
  tokens_in: null,
  tokens_out: null,
  cost_usd: null,
  error_code: null,
  error_message: null,
  attempt: 0,
};

/** An answer's row as its turn is queued or started. */
function answer(
  before: MessageRow | undefined,
  data: { turn: string; message: string; user: string },
  place: Place,
): MessageRow {
  return {
    tenant: place.ref.tenant,
    conversation: place.ref.id,
    id: data.message,
    role: "assistant",
    ...blank,
    parent: data.user,
    turn: data.turn,
    created_at: before?.created_at ?? place.at,
    status: "queued",
    // A queued answer that another message joins now follows that one: its place moves behind it.
    revision: before?.parent === data.user ? before.revision : place.revision,
  };
}

const messageSheet: Sheet<MessageRow> = {
  table,
  part: "turn",
  // A user's message is only ever put, so it is never looked for; answers are found by their turn.
  wants: (event) =>
    "turn" in event.data && event.type !== "model.attempted" ? event.data.turn : undefined,
  fold(rows, event, place) {
    switch (event.type) {
      case "message.added": {
        const { message, parent, role, text } = event.data;
        // Kept apart from answers: its sender chose the id, maybe that of a turn.
        rows.put(`message ${message}`, {
          tenant: place.ref.tenant,
          conversation: place.ref.id,
          id: message,
          role,
          ...blank,
          body: text,
          parent,
          turn: null,
          created_at: place.at,
          status: "done",
          revision: place.revision,
        });
        return;
      }
      case "turn.queued": {
        const before = rows.get(event.data.turn);
        rows.put(event.data.turn, {
          ...answer(before, event.data, place),
          model: event.data.model,
        });
        return;
      }
      case "turn.started": {
        const { turn, model, attempt } = event.data;
        const row = answer(rows.get(turn), event.data, place);
        rows.put(turn, { ...row, model, attempt, status: "generating" });
        return;
      }
      case "turn.restarted": {
        const { turn, model, attempt } = event.data;
        const before = rows.get(turn);
        if (before !== undefined) rows.put(turn, { ...before, model, attempt, body: "" });
        return;
      }
      case "turn.checkpointed": {
        const { turn, attempt, text } = event.data;
        const before = rows.get(turn);
        if (before?.attempt === attempt) rows.put(turn, { ...before, body: before.body + text });
        return;
      }
      case "turn.completed":
        end(rows, event.data, { status: "done", finish: event.data.finish });
        return;
      case "turn.cancelled":
        end(rows, event.data, { status: "cancelled", finish: "cancelled" });
        return;
      case "turn.failed": {
        const { code, detail } = event.data;
        // Erased content reads as "": then the table's sentence stands, as it does without a detail.
        const error_message = errorBody(code, detail === "" ? undefined : detail).message;
        end(rows, event.data, {
          status: "failed",
          finish: "failed",
          error_code: code,
          error_message,
        });
        return;
      }
      case "conversation.deleted":
        rows.clear();
        return;
      default:
    }
  },
};

function end(
  rows: Rows<MessageRow>,
  data: EventData<EndingType>,
  how: Pick<MessageRow, "status" | "finish"> & Partial<MessageRow>,
): void {
  const before = rows.get(data.turn);
  // After the conversation was deleted there is no row, and none comes back.
  if (before === undefined) return;
  const { tokensIn, tokensOut, costUsd } = data.usage;
  const usage = { tokens_in: tokensIn, tokens_out: tokensOut, cost_usd: costUsd };
  rows.put(data.turn, { ...before, ...usage, ...how, body: data.text });
}

interface HeadRow extends Row {
  readonly tenant: string;
  readonly conversation: string;
  readonly head: string | null;
  readonly queued: string;
}

/** The head lies beside the messages too: a path is then read from one projector, at one position. */
const headSheet: Sheet<HeadRow> = {
  table: {
    name: "message_heads",
    columns: { tenant: 'text COLLATE "C"', conversation: "uuid", head: "uuid", queued: "text" },
    nullable: ["head"],
    key: ["tenant", "conversation"],
    indexes: [],
    hidden: ["queued"],
  },
  part: null,
  wants: () => null,
  fold(rows, event, { ref }) {
    if (event.type === "conversation.deleted") {
      rows.clear();
      return;
    }
    const before = rows.get(null);
    const branch = { head: before?.head ?? null, queued: before?.queued ?? "" };
    const after = follow(branch, event);
    if (after.head === branch.head && after.queued === branch.queued) return;
    rows.put(null, { tenant: ref.tenant, conversation: ref.id, ...after });
  },
};

export const messages: Projector = {
  name: "messages",
  version: 1,
  kinds: ["conversation"],
  sheets: [messageSheet, headSheet],
};
