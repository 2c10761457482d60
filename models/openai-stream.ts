/**
 * Reads the events of an OpenAI chat stream into text, reason and usage. It knows nothing of HTTP.
 * Memory is bounded (I11): one event by `limits.model_event_bytes_max`; the text that nobody has taken yet by the
 * reader's caller, who stops feeding.
 */
import { createParser } from "eventsource-parser";
import { limits } from "../schemas/limits.ts";
import { ModelError } from "../schemas/models.ts";
import { field, redact } from "./openai-errors.ts";

export interface StreamReader {
  /** Text that came since the last `take()`. */
  take(): string;
  readonly pending: number;
  /** Everything the answer said, for an estimated bill. */
  readonly text: string;
  /** `reasoning_content`, which is not shown but is paid for. */
  readonly reasoning: string;
  /** Well-formed chunks so far: a change means that the provider is alive. */
  readonly chunks: number;
  readonly finish: "stop" | "length" | "filtered" | null;
  readonly usage: { readonly tokensIn: number; readonly tokensOut: number } | null;
  /** `[DONE]` has come. */
  readonly done: boolean;
  /** Feeds decoded text; throws a ModelError at what is no chunk. */
  feed(text: string): void;
}

const isCount = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0;

function finishOf(reason: string): "stop" | "length" | "filtered" {
  if (reason === "length" || reason === "max_tokens") return "length";
  return reason === "content_filter" ? "filtered" : "stop";
}

/** Makes a reader for one response. `key` is kept out of every message. */
export function readStream(key: string | null): StreamReader {
  const state = {
    text: "",
    reasoning: "",
    // Apart from `text`, since slicing that would flatten (copy) the whole answer at every token.
    fresh: "",
    chunks: 0,
    finish: null as "stop" | "length" | "filtered" | null, // the widest type of a mutable field
    usage: null as { tokensIn: number; tokensOut: number } | null, // likewise
    done: false,
  };
  const bad = (message: string): ModelError =>
    new ModelError("model_bad_answer", message, { retryable: false });

  function onData(data: string): void {
    if (state.done) return;
    if (data === "[DONE]") {
      state.done = true;
      return;
    }
    let chunk: unknown;
    try {
      chunk = JSON.parse(data);
    } catch {
      throw bad(`The provider sent a chunk that is not JSON: ${redact(data.slice(0, 80), key)}`);
    }
    if (typeof chunk !== "object" || chunk === null)
      throw bad("The provider sent a chunk that is no object.");
    const failure = field(chunk, "error");
    if (failure !== undefined && failure !== null) {
      const said = typeof failure === "string" ? failure : field(failure, "message");
      const detail = typeof said === "string" ? `: ${redact(said, key)}` : ".";
      throw new ModelError("model_unavailable", `The provider failed in mid-answer${detail}`, {
        retryable: true,
      });
    }
    state.chunks += 1;
    const usage = field(chunk, "usage");
    const tokensIn = field(usage, "prompt_tokens");
    const tokensOut = field(usage, "completion_tokens");
    if (isCount(tokensIn) && isCount(tokensOut)) state.usage = { tokensIn, tokensOut };
    const choices = field(chunk, "choices");
    const choice: unknown = Array.isArray(choices) ? choices[0] : undefined;
    const delta = field(choice, "delta");
    const content = field(delta, "content");
    if (typeof content === "string") {
      state.text += content;
      state.fresh += content;
    }
    const reasoning = field(delta, "reasoning_content") ?? field(delta, "reasoning");
    if (typeof reasoning === "string") state.reasoning += reasoning;
    const reason = field(choice, "finish_reason");
    if (typeof reason === "string" && reason !== "") state.finish = finishOf(reason);
  }

  const parser = createParser({
    maxBufferSize: limits.model_event_bytes_max,
    onEvent: ({ data }) => onData(data),
    onError(error) {
      // Unknown fields and bad `retry:` lines are to be ignored (WHATWG); only a flood is not.
      if (error.type === "max-buffer-size-exceeded")
        throw bad("The provider sent an endless line.");
    },
  });
  return {
    take() {
      const { fresh } = state;
      state.fresh = "";
      return fresh;
    },
    get pending() {
      return state.fresh.length;
    },
    get text() {
      return state.text;
    },
    get reasoning() {
      return state.reasoning;
    },
    get chunks() {
      return state.chunks;
    },
    get finish() {
      return state.finish;
    },
    get usage() {
      return state.usage;
    },
    get done() {
      return state.done;
    },
    feed: (text) => parser.feed(text),
  };
}
