/** Refusals in the words of the OpenAI wire format: its clients choose their exception by the status. */
import { type ErrorCode, errorBody, errors } from "../../schemas/errors.ts";
import type { OpenAiError } from "../../schemas/openai.ts";
import type { Refusal } from "../http/exchange.ts";

const types: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  429: "rate_limit_error",
};

/** Parameters that a refusal speaks of begin its sentence, as `model: …` does. */
const named = /^([a-z_.[\]0-9]+): /;

export function openAiError(code: ErrorCode, detail?: string): OpenAiError {
  const { status } = errors[code];
  const { message } = errorBody(code, detail);
  const type = types[status] ?? (status >= 500 ? "server_error" : "invalid_request_error");
  const param = code === "model_not_found" ? "model" : (named.exec(message)?.[1] ?? null);
  return { error: { message, type, param, code } };
}

/** The official client repeats what failed with 408, 409, 429 and 5xx unless it is told not to. */
export const openAiRefusal: Refusal = {
  body: openAiError,
  headers: (code) => ({
    "Content-Type": "application/json",
    "X-Should-Retry": String(errors[code].retryable),
  }),
};

/** Whether whoever asks for this path speaks the OpenAI wire format. */
export const speaksOpenAi = (path: string): boolean => path.startsWith("/v1/") || aliases.has(path);
const aliases = new Set(["/api/v1/chat/completions", "/api/v1/llm/chat/stream"]);
