/** How a model shall choose its words, as a client of the HTTP API asked; what is absent is the model's own. */
import Type, { type Static } from "typebox";

export const Sampling = Type.Object(
  {
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
    topP: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    maxTokens: Type.Optional(Type.Integer({ minimum: 1 })),
    presencePenalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2 })),
    frequencyPenalty: Type.Optional(Type.Number({ minimum: -2, maximum: 2 })),
    seed: Type.Optional(Type.Integer()),
  },
  { additionalProperties: false },
);
export type Sampling = Static<typeof Sampling>;
