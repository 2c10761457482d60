/** What `GET /api/v1/usage` and `GET /api/v1/models` take and answer. */
import Type, { type Static } from "typebox";
import { IsoTime } from "./ids.ts";
import { limits } from "./limits.ts";

const Count = Type.Integer({ minimum: 0 });
const sums = {
  calls: Type.Integer({ minimum: 0, description: "Calls of a model, failed ones included." }),
  tokensIn: Count,
  tokensOut: Count,
  costUsd: Type.String({ pattern: "^\\d+(\\.\\d+)?$", description: "Exact, a decimal as text." }),
};

export const UsageSum = Type.Object(sums);
export type UsageSum = Static<typeof UsageSum>;

/** One day (UTC) of one model. */
export const UsageItem = Type.Object({
  day: Type.String({ pattern: "^\\d{4}-\\d\\d-\\d\\d$" }),
  provider: Type.String(),
  model: Type.String(),
  ...sums,
});
export type UsageItem = Static<typeof UsageItem>;

/** The latest day first. `total` is of all pages. */
export const UsageList = Type.Object(
  {
    items: Type.Array(UsageItem),
    next: Type.Union([Type.String(), Type.Null()]),
    total: UsageSum,
  },
  {
    examples: [
      {
        items: [
          {
            ...{ day: "2026-11-21", provider: "openai-compatible", model: "gpt-5-mini" },
            ...{ calls: 12, tokensIn: 5120, tokensOut: 2048, costUsd: "0.005376" },
          },
        ],
        next: null,
        total: { calls: 12, tokensIn: 5120, tokensOut: 2048, costUsd: "0.005376" },
      },
    ],
  },
);
export interface UsageList {
  readonly items: readonly UsageItem[];
  readonly next: string | null;
  readonly total: UsageSum;
}

export const UsageQuery = Type.Object({
  of: Type.Optional(
    Type.Enum(["me", "tenant"], { description: "Whose; the tenant's is for its admins." }),
  ),
  model: Type.Optional(Type.String({ minLength: 1, maxLength: limits.model_chars_max })),
  from: Type.Optional(IsoTime),
  to: Type.Optional(IsoTime),
  cursor: Type.Optional(Type.String({ description: "`next` of the page before." })),
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: limits.page_max, default: limits.page_default }),
  ),
});

/** The models that a message may ask for. */
export const ModelList = Type.Object({
  items: Type.Array(Type.Object({ id: Type.String(), provider: Type.String() })),
  next: Type.Null(),
});
