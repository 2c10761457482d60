/** One row per call of a model that happened: the bill, line by line (I12). Holds no content. */
import type { Projector, Row, Sheet, Table } from "../projector.ts";

interface CallRow extends Row {
  readonly tenant: string;
  readonly conversation: string;
  /** The number of the event: one call, one event. */
  readonly revision: number;
  readonly turn: string;
  readonly attempt: number;
  readonly at: string;
  readonly provider: string;
  readonly model: string;
  readonly outcome: string;
  readonly tokens_in: number;
  readonly tokens_out: number;
  readonly cost_usd: string;
  readonly estimated: boolean;
  readonly first_token_ms: number | null;
  readonly total_ms: number | null;
  readonly error_code: string | null;
}

const table: Table = {
  name: "model_calls",
  columns: {
    tenant: 'text COLLATE "C"',
    conversation: "uuid",
    revision: "integer",
    turn: "uuid",
    attempt: "integer",
    at: "timestamptz(3)",
    provider: "text",
    model: "text",
    outcome: "text",
    tokens_in: "bigint",
    tokens_out: "bigint",
    cost_usd: "numeric",
    estimated: "boolean",
    first_token_ms: "bigint",
    total_ms: "bigint",
    error_code: "text",
  },
  nullable: ["first_token_ms", "total_ms", "error_code"],
  key: ["tenant", "conversation", "revision"],
  indexes: ["(tenant, at)"],
  hidden: [],
};

const sheet: Sheet<CallRow> = {
  table,
  part: null,
  wants: () => undefined,
  fold(rows, event, { ref, revision, at }) {
    if (event.type !== "model.attempted") return;
    const { turn, attempt, provider, model, outcome, usage, estimated, code } = event.data;
    const { first_token_ms, total_ms } = event.data;
    rows.put(String(revision), {
      tenant: ref.tenant,
      conversation: ref.id,
      ...{ revision, turn, attempt, at, provider, model, outcome, estimated },
      ...{ tokens_in: usage.tokensIn, tokens_out: usage.tokensOut, cost_usd: usage.costUsd },
      ...{ first_token_ms, total_ms, error_code: code },
    });
  },
};

export const modelCalls: Projector = {
  name: "model_calls",
  version: 1,
  kinds: ["conversation"],
  sheets: [sheet],
};
