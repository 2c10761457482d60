/**
 * What the scripted model server answers to one request: the words of a script, the directives that
 * a user message may carry, and the text that is made up when nobody said anything.
 *
 * Directives stand anywhere in the last user message, so that a black-box test can steer a server
 * that runs in another process:
 *
 *   [[tokens:50]] [[delay:5]] [[first:200]] [[say:exactly this]] [[finish:length]] [[usage:off]]
 *   [[crlf]] [[split:1]] [[no-done]] [[gate]] [[burst]] [[reasoning:3]]
 *   [[fault:500]] [[fault:429 retry-after=2]] [[fault:cut after=5]] [[fault:500 times=2]]
 *
 * `after` is the number of tokens sent before the fault; `times` limits it to the first so many
 * requests that carry this very message, so that a retry succeeds.
 */
import type { Gate } from "./model-server-gate.ts";

/**
 * - a number: that HTTP status with an OpenAI error body;
 * - `hang`: no response at all; `stall`: silence after `after` tokens, for ever;
 * - `cut`: the socket is destroyed after `after` tokens; `end`: the response ends there, in order
 *   but without `finish_reason` and `[DONE]`;
 * - `malformed`: a chunk that is no JSON; `error`: an error object in the middle of the stream;
 * - `content-type`: an HTML page with status 200; `empty`: a stream without any chunk;
 * - `flood`: bytes without any line end, for ever.
 */
export type Fault =
  | number
  | "hang"
  | "stall"
  | "cut"
  | "end"
  | "malformed"
  | "error"
  | "content-type"
  | "empty"
  | "flood";

/** Everything is optional; what is absent comes from the server's options. */
export interface Answer {
  readonly tokens?: readonly string[];
  /** Between two tokens; 0 still gives every token a TCP write of its own. */
  readonly delay_ms?: number;
  /** Before the first token, after the headers. */
  readonly first_delay_ms?: number;
  /** Deltas of `reasoning_content` before the first token. */
  readonly reasoning?: readonly string[];
  readonly finish?: "stop" | "length" | "content_filter";
  /** `undefined`: when the request's `stream_options` ask for it. */
  readonly usage?: boolean;
  readonly fault?: Fault;
  readonly after?: number;
  /** What the error body of a status says. */
  readonly error_message?: string;
  /** The header's value: seconds or an HTTP date. */
  readonly retry_after?: string;
  /** Lines end with CRLF. */
  readonly crlf?: boolean;
  /** Every write is cut into pieces of so many bytes, through UTF-8 sequences too. */
  readonly split_bytes?: number;
  /** False: the stream ends without `[DONE]`. */
  readonly done?: boolean;
  /** All tokens in one write. */
  readonly burst?: boolean;
  /** Each token waits to be released; `true` is the server's own gate. */
  readonly gate?: boolean | Gate;
}

/** The text that is made up for a message: `count` tokens that repeat the message's words. */
export function answerTokens(message: string, count: number): string[] {
  const words = message.split(/\s+/).filter((word) => word !== "");
  const tokens: string[] = [];
  for (let n = 0; n < count; n++) {
    const word = words[n % Math.max(1, words.length)] ?? "nothing";
    tokens.push(`${n === 0 ? "" : " "}${n + 1}:${Array.from(word).slice(0, 12).join("")}`);
  }
  return tokens;
}

const faults: readonly string[] = [
  "hang",
  "stall",
  "cut",
  "end",
  "malformed",
  "error",
  "content-type",
  "empty",
  "flood",
];

function fault(value: string): Fault {
  if (/^[45]\d\d$/.test(value)) return Number(value);
  if (!faults.includes(value))
    throw new Error(`The scripted model server knows no fault "${value}".`);
  return value as Fault; // narrowed by the list above, which `includes` does not tell the compiler
}

/** The directives of a message as an answer; `times` stands apart, since counting is the server's. */
export function directives(message: string): { answer: Answer; times: number; count?: number } {
  const answer: { -readonly [K in keyof Answer]: Answer[K] } = {};
  let times = Number.POSITIVE_INFINITY;
  let count: number | undefined;
  for (const [, name, rest = ""] of message.matchAll(/\[\[([a-z-]+)(?::([^\]]*))?\]\]/g)) {
    const [value = "", ...options] = rest.split(" ");
    if (name === "fault") {
      answer.fault = fault(value);
      for (const option of options) {
        const [key, setting = ""] = option.split("=");
        if (key === "after") answer.after = Number(setting);
        if (key === "times") times = Number(setting);
        if (key === "retry-after") answer.retry_after = setting;
      }
    } else if (name === "tokens") count = Number(value);
    else if (name === "delay") answer.delay_ms = Number(value);
    else if (name === "first") answer.first_delay_ms = Number(value);
    else if (name === "say") answer.tokens = rest.match(/\s*\S+|\s+$/g) ?? [];
    else if (name === "finish") answer.finish = value === "length" ? "length" : "stop";
    else if (name === "usage") answer.usage = value !== "off";
    else if (name === "crlf") answer.crlf = true;
    else if (name === "split") answer.split_bytes = Number(value);
    else if (name === "no-done") answer.done = false;
    else if (name === "gate") answer.gate = true;
    else if (name === "burst") answer.burst = true;
    else if (name === "reasoning") {
      answer.reasoning = Array.from({ length: Number(value) }, (_, n) => `thought ${n + 1} `);
    }
  }
  return { answer, times, ...(count === undefined ? {} : { count }) };
}
