/** The OpenAI wire format, as operations of the HTTP API. */
import { limits } from "../../schemas/limits.ts";
import {
  ChatCompletion,
  ChatCompletionBody,
  Embeddings,
  EmbeddingsBody,
  ModelId,
  OpenAiModel,
  OpenAiModels,
} from "../../schemas/openai.ts";
import { type Operation, operation } from "../http/operation.ts";
import { send_refusals } from "../turns/send-refusals.ts";
import { complete } from "./completions.ts";
import { embed } from "./embeddings.ts";
import { listModels, readModel } from "./models.ts";

const completion_refusals = [
  ...(["unsupported_parameter", "not_found", ...send_refusals] as const),
  ...(["model_unavailable", "model_rate_limited", "model_refused", "model_timeout"] as const),
] as const;

const completions = (path: `/${string}`, id: string): Operation =>
  operation({
    id,
    method: "POST",
    path,
    summary: "Answers a list of messages, or one message of a conversation, whole or as chunks.",
    tag: "openai",
    access: "conversations.write",
    limit: "command",
    body: ChatCompletionBody,
    body_bytes_max: limits.request_bytes_max,
    answers: { 200: ChatCompletion },
    streams: true,
    refuses: completion_refusals,
    run: (call, exchange) => complete(call, exchange),
  });

export const operations: readonly Operation[] = [
  completions("/v1/chat/completions", "createChatCompletion"),
  completions("/api/v1/chat/completions", "createChatCompletionAlias"),
  operation({
    id: "streamChat",
    method: "POST",
    path: "/api/v1/llm/chat/stream",
    summary: "Answers a list of messages, or one message of a conversation, as a stream of chunks.",
    tag: "openai",
    access: "conversations.write",
    limit: "command",
    body: ChatCompletionBody,
    body_bytes_max: limits.request_bytes_max,
    answers: { 200: "stream" },
    refuses: completion_refusals,
    run: (call, exchange) => complete(call, exchange, true),
  }),
  operation({
    id: "createEmbeddings",
    method: "POST",
    path: "/v1/embeddings",
    summary: "Vectors of texts, computed by the configured provider.",
    tag: "openai",
    access: "models.use",
    limit: "command",
    body: EmbeddingsBody,
    body_bytes_max: limits.embeddings_bytes_max,
    answers: { 200: Embeddings },
    refuses: [
      ...(["not_configured", "model_not_found", "model_unavailable", "model_timeout"] as const),
      ...(["model_rate_limited", "model_refused", "model_bad_answer"] as const),
    ],
    run: (call, exchange) => embed(call, exchange),
  }),
  operation({
    id: "listModels",
    method: "GET",
    path: "/v1/models",
    summary: "The models that can be named.",
    tag: "openai",
    access: "models.read",
    limit: "read",
    answers: { 200: OpenAiModels },
    run: (call) => listModels(call),
  }),
  operation({
    id: "readModel",
    method: "GET",
    path: "/v1/models/{model}",
    summary: "One model.",
    tag: "openai",
    access: "models.read",
    limit: "read",
    params: { model: ModelId },
    answers: { 200: OpenAiModel },
    refuses: ["model_not_found"],
    run: (call) => readModel(call),
  }),
];
