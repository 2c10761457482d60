/**
 * One call to an OpenAI-compatible provider (OpenAI, vLLM, Ollama, Qwen, DeepSeek, LiteLLM …).
 * One call is one HTTP request: no retry inside, since each attempt is an event of its turn (I12).
 * However it ends (answer, error, abort, a consumer that stops reading), its connection is closed
 * or given back. It must never put the API key into an error.
 *
 * undici's `request` and not `fetch`: a third less CPU. Text is handed on as it arrives; what came
 * in one read is one delta, because a frame gathers more than that anyway.
 */
import type { Agent, Dispatcher } from "undici";
import type { Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import {
  type Embedded,
  type EmbeddingRequest,
  ModelError,
  type ModelDelta,
  type ModelRequest,
  type ModelUsage,
} from "../schemas/models.ts";
import { askEmbeddings } from "./openai-embeddings.ts";
import { field, retryAfter, statusError, transportError, withUsage } from "./openai-errors.ts";
import { readStream, type StreamReader } from "./openai-stream.ts";
import { costUsd } from "./prices.ts";
import { countMessages, countTokens } from "./token-count.ts";
import { watchdog } from "./watchdog.ts";

/** After `[DONE]` the response may take so long to end before its connection is given up. */
const tail_ms = 1_000;

export interface OpenAiConfig {
  /** "" or null for servers that want none. */
  readonly apiKey: string | null;
  /** As the official client takes it: it includes `/v1`; a slash at its end does no harm. */
  readonly baseUrl: string;
  readonly clock: Clock;
  /** Silence that is a time-out; from schemas/limits.ts unless a test wants it sooner. */
  readonly first_token_ms?: number;
  readonly stall_ms?: number;
  readonly connect_ms?: number;
}

export interface OpenAiProvider {
  /** See `Models.generate`. */
  generate(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelDelta, void, void>;
  /** The ids of `GET /models`; throws a ModelError. */
  models(signal: AbortSignal): Promise<string[]>;
  /** Throws a ModelError, or the signal's reason. */
  embed(request: EmbeddingRequest, signal: AbortSignal): Promise<Embedded>;
  /** Ends every connection, also those in use. */
  close(): Promise<void>;
}

/** How to choose words, in the wire's names; JSON leaves out what is undefined. */
function samplingOf({ sampling }: ModelRequest): Readonly<Record<string, number | undefined>> {
  if (sampling === undefined || sampling === null) return {};
  const { temperature, topP, maxTokens, presencePenalty, frequencyPenalty, seed } = sampling;
  return {
    ...{ temperature, seed, top_p: topP, max_tokens: maxTokens },
    ...{ presence_penalty: presencePenalty, frequency_penalty: frequencyPenalty },
  };
}

/** The start of a body as text; the rest is dropped with its connection. */
async function readText(body: Dispatcher.ResponseData["body"], bytes_max: number): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body) {
    const bytes = Buffer.from(part);
    parts.push(bytes);
    size += bytes.length;
    if (size >= bytes_max) break;
  }
  return Buffer.concat(parts).toString("utf8").slice(0, bytes_max);
}

async function openAgent(config: OpenAiConfig): Promise<Agent> {
  const undici = await import("undici");
  return new undici.Agent({
    connect: { timeout: config.connect_ms ?? limits.model_connect_ms },
    // Our own watchdog tells silence before the first token from a stall after it.
    headersTimeout: 0,
    bodyTimeout: 0,
    keepAliveTimeout: 10_000,
    // With HTTP/2 an abort would reset a stream and leave the connection.
    allowH2: false,
  });
}

export function createOpenAi(config: OpenAiConfig): OpenAiProvider {
  const key = config.apiKey === "" ? null : config.apiKey;
  const base = new URL(config.baseUrl.replace(/\/+$/, ""));
  const path = (name: string): string =>
    `${base.pathname.replace(/\/+$/, "")}/${name}${base.search}`;
  let opened: Promise<Agent> | null = null;
  /** Loaded with the first call: undici is a good part of what a process loads at its start. */
  const agent = (): Promise<Agent> => (opened ??= openAgent(config));
  const headers: Record<string, string> = { "user-agent": "colloquy" };
  if (key !== null) headers["authorization"] = `Bearer ${key}`;

  function usageOf(request: ModelRequest, reader: StreamReader): ModelUsage {
    const told = reader.usage;
    const tokensIn = told?.tokensIn ?? countMessages(request.messages);
    const tokensOut = told?.tokensOut ?? countTokens(reader.text) + countTokens(reader.reasoning);
    const cost = costUsd(request.model, tokensIn, tokensOut);
    return { tokensIn, tokensOut, costUsd: cost, estimated: told === null };
  }

  async function ask(request: ModelRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const messages = request.messages.map(({ role, text }) => ({ role, content: text }));
    const options = { stream: true, stream_options: { include_usage: true } };
    const { origin } = base;
    return (await agent()).request({
      origin,
      path: path("chat/completions"),
      method: "POST",
      headers: { ...headers, "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({
        ...{ model: request.model, messages },
        ...samplingOf(request),
        ...options,
      }),
      signal,
    });
  }

  async function* generate(
    request: ModelRequest,
    signal: AbortSignal,
  ): AsyncGenerator<ModelDelta, void, void> {
    signal.throwIfAborted();
    const connection = new AbortController();
    const reader = readStream(key);
    let failure: unknown = null;
    let ended = false;
    let wake = (): void => {};
    /** Ends the call, whatever it waits for. */
    const stop = (reason: unknown): void => {
      failure ??= reason;
      connection.abort(reason);
      wake();
    };
    const abort = (): void => stop(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    const dog = watchdog(
      config.clock,
      config.first_token_ms ?? limits.model_first_token_ms,
      config.stall_ms ?? limits.model_stall_ms,
      (message) => stop(new ModelError("model_timeout", message, { retryable: true })),
    );
    let started = false;
    let keep = false;
    try {
      const response = await ask(request, connection.signal);
      const { body, statusCode } = response;
      // An aborted body reports through `failure`; without a listener it would end the process.
      body.on("error", (error) => stop(error));
      if (statusCode !== 200) {
        const wait = retryAfter(response.headers["retry-after"], config.clock.now());
        const text = await readText(body, limits.model_error_bytes_max);
        throw statusError(statusCode, text, { model: request.model, key, retry_after_ms: wait });
      }
      const type = String(response.headers["content-type"] ?? "no content type");
      if (!type.startsWith("text/event-stream")) {
        const message = `The provider answered with ${type.slice(0, 60)} instead of an event stream; see OPENAI_BASE_URL.`;
        throw new ModelError("model_bad_answer", message, { retryable: false });
      }
      started = true;
      const decoder = new TextDecoder();
      let bytes = 0;
      body.on("data", (part: Buffer) => {
        if (reader.done || failure !== null) return;
        bytes += part.length;
        const before = reader.chunks;
        try {
          reader.feed(decoder.decode(part, { stream: true }));
        } catch (error) {
          return stop(error);
        }
        if (reader.chunks !== before) dog.alive();
        if (bytes > limits.model_response_bytes_max) {
          return stop(
            new ModelError("model_bad_answer", "The provider's answer does not end.", {
              retryable: false,
            }),
          );
        }
        if (reader.pending > limits.model_pending_chars_max) body.pause();
        wake();
      });
      body.on("end", () => {
        ended = true;
        wake();
      });
      let length = 0;
      for (;;) {
        const over = reader.done || ended || failure !== null;
        let text = signal.aborted ? "" : reader.take();
        if (text !== "") {
          const room = limits.answer_chars_max - length;
          if (text.length > room) text = wholeCharacters(text, room);
          length += text.length;
          if (text !== "") yield { type: "text", text };
          if (signal.aborted) throw signal.reason;
          // While the consumer was busy, silence was ours and not the model's.
          dog.alive();
          if (reader.text.length > limits.answer_chars_max) {
            yield { type: "finish", finish: "length", usage: usageOf(request, reader) };
            return;
          }
          if (body.isPaused()) body.resume();
          continue;
        }
        if (over) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
          // What came while the consumer was busy has called an older `wake`.
          if (reader.pending > 0 || reader.done || ended || failure !== null) resolve();
        });
      }
      if (signal.aborted) throw signal.reason;
      if (reader.finish === "filtered") {
        const message = "The provider's content filter ended the answer.";
        throw new ModelError("model_refused", message, { retryable: false });
      }
      // Once the reason is known the answer is whole, though its usage or `[DONE]` never came.
      if (!reader.done && reader.finish === null) {
        throw failure instanceof Error
          ? failure
          : Object.assign(new Error("no end"), { code: "ended early" });
      }
      keep = reader.done && failure === null;
      yield { type: "finish", finish: reader.finish ?? "stop", usage: usageOf(request, reader) };
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      const cause = failure ?? error;
      const spent = reader.chunks > 0 ? usageOf(request, reader) : null;
      const mapped = transportError(cause, started, spent);
      throw mapped.usage === null && spent !== null ? withUsage(mapped, spent) : mapped;
    } finally {
      dog.stop();
      signal.removeEventListener("abort", abort);
      if (!keep) connection.abort();
      else if (!ended) {
        const cancel = config.clock.after(tail_ms, () => connection.abort());
        wake = cancel;
      }
    }
  }

  return {
    generate,
    async models(signal) {
      try {
        const origin = base.origin;
        const response = await (
          await agent()
        ).request({
          origin,
          path: path("models"),
          method: "GET",
          headers,
          signal,
        });
        const text = await readText(response.body, limits.model_list_bytes_max);
        if (response.statusCode !== 200) {
          throw statusError(response.statusCode, text, { model: "", key, retry_after_ms: null });
        }
        const data = field(JSON.parse(text), "data");
        const ids = Array.isArray(data) ? data.map((item: unknown) => field(item, "id")) : [];
        return ids
          .filter(
            (id) => typeof id === "string" && id !== "" && id.length <= limits.model_chars_max,
          )
          .slice(0, limits.models_listed_max) as string[]; // the filter above, which older inference loses
      } catch (error) {
        if (error instanceof SyntaxError) {
          throw new ModelError("model_bad_answer", "The provider's model list is not JSON.", {
            retryable: false,
          });
        }
        throw transportError(error, false, null);
      }
    },
    async embed(request, signal) {
      const to = { origin: base.origin, path: path("embeddings") };
      const wire = { agent: await agent(), ...to, headers, key, clock: config.clock };
      return askEmbeddings(wire, request, signal);
    },
    async close() {
      await (await opened)?.destroy();
    },
  };
}

/** The first `units` of a text, less one when that would split a surrogate pair. */
function wholeCharacters(text: string, units: number): string {
  const last = text.charCodeAt(units - 1);
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? units - 1 : units);
}
