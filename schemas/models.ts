/**
 * What a model is asked and what it answers, in the words that `actors/` and `models/` share.
 * A provider is one function from a request to an async iterable of deltas.
 */

import type { Sampling } from "./sampling.ts";

/** One message of the path that a model reads, oldest first. */
export interface ModelMessage {
  readonly role: "system" | "user" | "assistant";
  readonly text: string;
}

/** The provider and model of one call; both are recorded before the call is made. */
export interface ModelRoute {
  readonly provider: string;
  readonly model: string;
}

export interface ModelRequest extends ModelRoute {
  readonly messages: readonly ModelMessage[];
  /** What is absent is as the model does by itself. */
  readonly sampling?: Sampling | null;
}

export interface ModelUsage {
  readonly tokensIn: number;
  readonly tokensOut: number;
  /** US dollars as a decimal string with six places. */
  readonly costUsd: string;
  /** True when the provider did not say and we counted ourselves. */
  readonly estimated: boolean;
}

/**
 * `text` is never empty. `finish` comes exactly once, last, when the answer ended by itself.
 * Anything else ends the iterable with a thrown `ModelError`.
 */
export type ModelDelta =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "finish"; readonly finish: "stop" | "length"; readonly usage: ModelUsage };

/** Why a call failed; `code` is one of `schemas/errors.ts`. */
export class ModelError extends Error {
  readonly code: ModelErrorCode;
  /** Whether the same call may succeed later. */
  readonly retryable: boolean;
  /** What the provider asked us to wait (Retry-After), if it did. */
  readonly retry_after_ms: number | null;
  /** Tokens that were used all the same (a cut stream), if any. */
  readonly usage: ModelUsage | null;

  constructor(
    code: ModelErrorCode,
    message: string,
    options: { retryable: boolean; retry_after_ms?: number | null; usage?: ModelUsage | null },
  ) {
    super(message);
    this.name = "ModelError";
    this.code = code;
    this.retryable = options.retryable;
    this.retry_after_ms = options.retry_after_ms ?? null;
    this.usage = options.usage ?? null;
  }
}

export type ModelErrorCode =
  | "model_unavailable"
  | "model_rate_limited"
  | "model_refused"
  | "model_timeout"
  | "model_stream_cut"
  | "model_bad_answer"
  | "model_not_found";

/** Texts, or tokens, whose vectors are wanted; at most as many as the OpenAI wire format takes. */
export interface EmbeddingRequest {
  readonly model: string;
  /** One text or list of tokens, or many of them. */
  readonly input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  readonly encoding: "float" | "base64";
  readonly dimensions: number | undefined;
}

export interface Embedded {
  /** In the order of the inputs: numbers, or base64 of little-endian 32-bit floats, as was asked. */
  readonly vectors: readonly (string | number[])[];
  readonly model: string;
  /** As the provider counted; null when it did not say. */
  readonly tokens: number | null;
}

/** One call, one attempt. Throws a ModelError, or the signal's reason once its connection is closed. */
export type Embed = (request: EmbeddingRequest, signal: AbortSignal) => Promise<Embedded>;

/** What `models/` gives to the rest; wired in `cli/wire.ts`. */
export interface Models {
  /** The route for a wished model (`null`: the default); `null` when no such model is known. */
  route(model: string | null): ModelRoute | null;
  /** The models that can be named, the default first. */
  list(): readonly { readonly id: string; readonly provider: string }[];
  /**
   * One call, one attempt: no retry inside. Ends promptly with the signal's reason when aborted,
   * and then has closed the provider's connection.
   */
  generate(request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelDelta>;
  /** What a call whose answer was lost or cut has used, estimated from the texts. */
  estimate(route: ModelRoute, tokensIn: number, textOut: string): ModelUsage;
  /** Tokens of a text, estimated. */
  countTokens(text: string): number;
}
