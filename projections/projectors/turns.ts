/** One row per turn: who ran it, how it went, what it used. Holds no content, so deletion keeps it. */
import type { EndingType, EventData } from "../../schemas/events.ts";
import type { Place, Projector, Row, Rows, Sheet, Table } from "../projector.ts";

interface TurnRow extends Row {
  readonly tenant: string;
  readonly conversation: string;
  readonly id: string;
  readonly message: string;
  readonly status: "queued" | "running" | "completed" | "cancelled" | "failed";
  readonly attempt: number;
  readonly owner: string | null;
  readonly provider: string | null;
  readonly model: string | null;
  readonly queued_at: string | null;
  readonly started_at: string | null;
  readonly ended_at: string | null;
  readonly finish: string | null;
  readonly tokens_in: number | null;
  readonly tokens_out: number | null;
  readonly cost_usd: string | null;
  readonly error_code: string | null;
  readonly revision: number;
}

const table: Table = {
  name: "turns",
  columns: {
    tenant: 'text COLLATE "C"',
    conversation: "uuid",
    id: "uuid",
    message: "uuid",
    status: "text",
    attempt: "integer",
    owner: "text",
    provider: "text",
    model: "text",
    queued_at: "timestamptz(3)",
    started_at: "timestamptz(3)",
    ended_at: "timestamptz(3)",
    finish: "text",
    tokens_in: "bigint",
    tokens_out: "bigint",
    cost_usd: "numeric",
    error_code: "text",
    revision: "integer",
  },
  nullable: [
    ...["owner", "provider", "model", "queued_at", "started_at", "ended_at", "finish"],
    ...["tokens_in", "tokens_out", "cost_usd", "error_code"],
  ],
  key: ["tenant", "conversation", "id"],
  indexes: [],
  hidden: [],
};

const fresh = (turn: string, message: string, place: Place): TurnRow => ({
  tenant: place.ref.tenant,
  conversation: place.ref.id,
  id: turn,
  message,
  status: "queued",
  attempt: 0,
  ...{ owner: null, provider: null, model: null, queued_at: null, started_at: null },
  ...{ ended_at: null, finish: null, tokens_in: null, tokens_out: null, cost_usd: null },
  error_code: null,
  revision: place.revision,
});

const known = (rows: Rows<TurnRow>, turn: string): TurnRow => {
  const row = rows.get(turn);
  if (row === undefined) throw new Error(`the turn ${turn} was never queued nor started`);
  return row;
};

const sheet: Sheet<TurnRow> = {
  table,
  part: "id",
  wants: (event) =>
    "turn" in event.data && event.type !== "model.attempted" ? event.data.turn : undefined,
  fold(rows, event, place) {
    switch (event.type) {
      case "turn.queued": {
        const { turn, message, model } = event.data;
        const row = rows.get(turn) ?? fresh(turn, message, place);
        rows.put(turn, { ...row, model, queued_at: row.queued_at ?? place.at });
        return;
      }
      case "turn.started": {
        const { turn, message, attempt, owner, provider, model } = event.data;
        const row = rows.get(turn) ?? fresh(turn, message, place);
        const running = { attempt, owner, provider, model, started_at: place.at };
        rows.put(turn, { ...row, ...running, status: "running" });
        return;
      }
      case "turn.restarted": {
        const { turn, attempt, owner, provider, model } = event.data;
        rows.put(turn, { ...known(rows, turn), attempt, owner, provider, model });
        return;
      }
      case "turn.completed":
        end(rows, event.data, place, { status: "completed", finish: event.data.finish });
        return;
      case "turn.cancelled":
        end(rows, event.data, place, { status: "cancelled", finish: "cancelled" });
        return;
      case "turn.failed": {
        const { code } = event.data;
        end(rows, event.data, place, { status: "failed", finish: "failed", error_code: code });
        return;
      }
      default:
    }
  },
};

function end(
  rows: Rows<TurnRow>,
  data: EventData<EndingType>,
  place: Place,
  how: Pick<TurnRow, "status" | "finish"> & Partial<TurnRow>,
): void {
  const { tokensIn, tokensOut, costUsd } = data.usage;
  rows.put(data.turn, {
    ...known(rows, data.turn),
    ...{ tokens_in: tokensIn, tokens_out: tokensOut, cost_usd: costUsd, ended_at: place.at },
    ...how,
  });
}

export const turns: Projector = {
  name: "turns",
  version: 1,
  kinds: ["conversation"],
  sheets: [sheet],
};
