/**
 * What a provider's refusal means to us. Invariant: no message of this file holds an API key, nor a
 * part of one: providers like to quote it ("Incorrect API key provided: sk-ab***yz").
 */
import { ModelError, type ModelErrorCode, type ModelUsage } from "../schemas/models.ts";

const detail_chars_max = 300;

/** Retry-After in milliseconds from now: seconds or an HTTP date (RFC 9110 §10.2.3). */
export function retryAfter(header: string | string[] | undefined, now_ms: number): number | null {
  const value = (Array.isArray(header) ? header[0] : header)?.trim();
  if (value === undefined || value === "") return null;
  if (/^\d+(\.\d+)?$/.test(value)) return Math.round(Number(value) * 1000);
  const date = Date.parse(value);
  return Number.isNaN(date) ? null : Math.max(0, date - now_ms);
}

/** A provider's sentence, fit to be shown: no key, one line, short. */
export function redact(text: string, key: string | null): string {
  const clean = key ? text.replaceAll(key, "[key]") : text;
  return clean
    .replace(/\b(sk|pk|key|rk|gsk)[-_][\w*.-]{4,}/gi, "[key]")
    .replace(/\bBearer\s+\S+/gi, "Bearer [key]")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, detail_chars_max);
}

interface Refusal {
  readonly message: string;
  readonly code: string;
}

/** A code as text; providers send numbers, too. */
const named = (code: unknown): string =>
  typeof code === "string" || typeof code === "number" ? String(code) : "";

/** The error object of a body, as OpenAI and its imitators write it. */
export function refusal(body: string): Refusal {
  try {
    const parsed: unknown = JSON.parse(body);
    const error = field(parsed, "error") ?? parsed;
    const message = typeof error === "string" ? error : field(error, "message");
    const code = field(error, "code") ?? field(error, "type");
    return { message: typeof message === "string" ? message : "", code: named(code) };
  } catch {
    return { message: "", code: "" };
  }
}

/** A field of an unknown value, `undefined` when it has none. */
export const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;

/** The error of an HTTP status. `body` is the (bounded) start of the response's body. */
export function statusError(
  status: number,
  body: string,
  context: {
    readonly model: string;
    readonly key: string | null;
    readonly retry_after_ms: number | null;
    readonly usage?: ModelUsage | null;
  },
): ModelError {
  const said = refusal(body);
  const detail = said.message === "" ? "" : `: ${redact(said.message, context.key)}`;
  const error = (code: ModelErrorCode, retryable: boolean, message: string): ModelError =>
    new ModelError(code, message, {
      retryable,
      retry_after_ms: retryable ? context.retry_after_ms : null,
      usage: context.usage ?? null,
    });
  if (status === 401 || status === 403) {
    // The provider's own sentence is left out: it quotes parts of the key.
    return error(
      "model_refused",
      false,
      `The provider refused our key (${status}); see OPENAI_API_KEY.`,
    );
  }
  if (status === 404) {
    const hint = "; see COLLOQUY_MODEL and OPENAI_BASE_URL (which ends in /v1)";
    return error(
      "model_not_found",
      false,
      `The provider has no model "${context.model}" (404)${hint}.`,
    );
  }
  if (status === 408)
    return error("model_timeout", true, `The provider gave up waiting (408)${detail}`);
  if (status === 429) {
    // A spent quota does not come back by waiting some seconds.
    const spent = said.code === "insufficient_quota";
    return error("model_rate_limited", !spent, `The provider limits our requests (429)${detail}`);
  }
  if (status >= 500 || status === 409 || status === 425) {
    return error("model_unavailable", true, `The provider failed (${status})${detail}`);
  }
  if (status >= 400)
    return error("model_refused", false, `The provider refused the request (${status})${detail}`);
  return error("model_bad_answer", false, `The provider answered ${status}; see OPENAI_BASE_URL.`);
}

const connect_codes = new Set(["UND_ERR_CONNECT_TIMEOUT", "ETIMEDOUT"]);

/** What a broken transport means; `started`: the answer's stream had begun. */
export function transportError(
  error: unknown,
  started: boolean,
  usage: ModelUsage | null,
): ModelError {
  if (error instanceof ModelError) return error;
  const code = named(field(error, "code") ?? field(field(error, "cause"), "code")) || "error";
  if (started) {
    return new ModelError("model_stream_cut", `The provider's answer broke off (${code}).`, {
      retryable: true,
      usage,
    });
  }
  if (connect_codes.has(code)) {
    return new ModelError("model_timeout", "The provider did not accept a connection in time.", {
      retryable: true,
    });
  }
  return new ModelError("model_unavailable", `The provider is not reachable (${code}).`, {
    retryable: true,
  });
}

/** The same failure with what it used all the same. */
export const withUsage = (error: ModelError, usage: ModelUsage): ModelError =>
  new ModelError(error.code, error.message, {
    retryable: error.retryable,
    retry_after_ms: error.retry_after_ms,
    usage,
  });
