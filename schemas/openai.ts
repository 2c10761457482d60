/**
 * The OpenAI wire format as far as it is spoken here (docs/PROTOCOL.md): the body of
 * `POST /v1/chat/completions`, and what answers. What is not named is ignored; what would change the
 * answer and cannot be done is refused by gateway/openai/request.ts, in words.
 */
import Type, { type Static } from "typebox";
import { limits } from "./limits.ts";

const maybe = <S extends Type.TSchema>(schema: S) =>
  Type.Optional(Type.Union([schema, Type.Null()]));

export const ChatCompletionMessage = Type.Object({
  role: Type.String({ description: "system, developer, user or assistant" }),
  content: Type.Optional(Type.Unknown({ description: "A text, or parts of `type` text." })),
});

export const ChatCompletionBody = Type.Object({
  model: Type.Optional(
    Type.String({ minLength: 1, maxLength: limits.model_chars_max, description: "As listed." }),
  ),
  messages: Type.Optional(
    Type.Array(ChatCompletionMessage, {
      ...{ minItems: 1, maxItems: limits.request_messages_max },
      description: "All that was said; or else `conversation_id` and `message`.",
    }),
  ),
  conversation_id: maybe(
    Type.String({
      description: "A conversation of the caller's; begun when there is none (UUID).",
    }),
  ),
  message: maybe(Type.String({ description: "What is said in it next." })),
  stream: maybe(Type.Boolean()),
  stream_options: maybe(Type.Object({ include_usage: maybe(Type.Boolean()) })),
  temperature: maybe(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: maybe(Type.Number({ minimum: 0, maximum: 1 })),
  max_tokens: maybe(Type.Integer({ minimum: 1 })),
  max_completion_tokens: maybe(Type.Integer({ minimum: 1 })),
  presence_penalty: maybe(Type.Number({ minimum: -2, maximum: 2 })),
  frequency_penalty: maybe(Type.Number({ minimum: -2, maximum: 2 })),
  seed: maybe(Type.Integer()),
});
export type ChatCompletionBody = Static<typeof ChatCompletionBody>;

const Tokens = Type.Object({
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
});
export type Tokens = Static<typeof Tokens>;

export const ChatCompletion = Type.Object({
  id: Type.String({ description: "`chatcmpl-` and the id of its conversation." }),
  object: Type.Literal("chat.completion"),
  created: Type.Integer({ description: "Seconds since 1970." }),
  model: Type.String(),
  choices: Type.Array(
    Type.Object({
      index: Type.Literal(0),
      message: Type.Object({
        role: Type.Literal("assistant"),
        content: Type.String(),
        refusal: Type.Null(),
      }),
      logprobs: Type.Null(),
      finish_reason: Type.String({ description: "stop, length or cancelled" }),
    }),
  ),
  usage: Tokens,
});
export type ChatCompletion = Static<typeof ChatCompletion>;

const Tokenized = Type.Array(Type.Integer({ minimum: 0 }), {
  minItems: 1,
  maxItems: limits.embedding_tokens_max,
});
const many = { minItems: 1, maxItems: limits.embedding_inputs_max };

export const EmbeddingsBody = Type.Object({
  model: Type.String({
    minLength: 1,
    maxLength: limits.model_chars_max,
    description: "As the provider names it; it need not be listed.",
  }),
  input: Type.Union(
    [
      Type.String({ minLength: 1 }),
      Type.Array(Type.String({ minLength: 1 }), many),
      Tokenized,
      Type.Array(Tokenized, many),
    ],
    { description: "A text, texts, a list of tokens, or such lists." },
  ),
  encoding_format: maybe(Type.Union([Type.Literal("float"), Type.Literal("base64")])),
  dimensions: maybe(Type.Integer({ minimum: 1, maximum: 100_000 })),
});
export type EmbeddingsBody = Static<typeof EmbeddingsBody>;

export const Embeddings = Type.Object({
  object: Type.Literal("list"),
  data: Type.Array(
    Type.Object({
      object: Type.Literal("embedding"),
      index: Type.Integer(),
      embedding: Type.Union([Type.Array(Type.Number()), Type.String()], {
        description: "Numbers, or base64 of little-endian 32-bit floats.",
      }),
    }),
  ),
  model: Type.String(),
  usage: Type.Object({ prompt_tokens: Type.Integer(), total_tokens: Type.Integer() }),
});
export type Embeddings = Static<typeof Embeddings>;

/** A part of a path. */
export const ModelId = Type.String({ minLength: 1, maxLength: limits.model_chars_max });

export const OpenAiModel = Type.Object({
  id: Type.String(),
  object: Type.Literal("model"),
  created: Type.Integer(),
  owned_by: Type.String(),
});
export type OpenAiModel = Static<typeof OpenAiModel>;
export const OpenAiModels = Type.Object({
  object: Type.Literal("list"),
  data: Type.Array(OpenAiModel),
});

/** 202 of `POST /chat`. */
export const ChatStarted = Type.Object({
  stream_session_id: Type.String({ description: "What /chat/stream/{id} takes." }),
});

/** The body of every refusal under `/v1/`. */
export const OpenAiErrorBody = Type.Object({
  error: Type.Object({
    message: Type.String(),
    type: Type.String(),
    param: Type.Union([Type.String(), Type.Null()]),
    code: Type.String(),
  }),
});
/** `OpenAiErrorBody`, as it is built. */
export interface OpenAiError {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}
