/**
 * Fields that events, and the commands that ask for them, have in common. A schema that is here says
 * the same wherever it stands.
 */
import Type, { type Static } from "typebox";
import { type ErrorCode, errors } from "../errors.ts";
import { Uuid } from "../ids.ts";

/** Nothing but what a schema names: a field that is not known is a mistake, not a surprise. */
export const closed = { additionalProperties: false } as const;

export const Text = Type.String();
export const NullableUuid = Type.Union([Uuid, Type.Null()]);
export const ModelName = Type.String({ minLength: 1, maxLength: 128 });
export const Sha256 = Type.String({ pattern: "^[0-9a-f]{64}$", description: "SHA-256, hex." });
export const Code = Type.Unsafe<ErrorCode>({
  type: "string",
  enum: Object.keys(errors),
  description: "A code of docs/ERRORS.md.",
});

/**
 * Of a command: it is done only if the last event that changed what it changes has this number, else
 * refused with `precondition_failed`. A conversation is one thing; an account and a workspace are
 * several, each with a revision of its own.
 */
export const expecting = { ifRevision: Type.Optional(Type.Integer({ minimum: 0 })) };

export const Overlap = Type.Union(
  [Type.Literal("queue"), Type.Literal("interrupt"), Type.Literal("merge"), Type.Literal("reject")],
  { description: "What a new message does while a turn runs." },
);
export type Overlap = Static<typeof Overlap>;

export const Usage = Type.Object(
  {
    tokensIn: Type.Integer({ minimum: 0 }),
    tokensOut: Type.Integer({ minimum: 0 }),
    costUsd: Type.String({ pattern: "^\\d+\\.\\d{6}$", description: "US dollars, six places." }),
  },
  closed,
);
export type Usage = Static<typeof Usage>;
