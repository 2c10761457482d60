/**
 * One call of `POST /embeddings` at an OpenAI-compatible provider: bounded in time and size, without a
 * retry inside, and checked, since not every provider heeds `encoding_format`. It must never put the API
 * key into an error.
 */
import type { Agent, Dispatcher } from "undici";
import type { Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { type Embedded, type EmbeddingRequest, ModelError } from "../schemas/models.ts";
import { field, retryAfter, statusError, transportError } from "./openai-errors.ts";

/** What a provider is asked through. */
export interface Wire {
  readonly agent: Agent;
  readonly origin: string;
  /** Of the operation, with the base URL's own. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly key: string | null;
  readonly clock: Clock;
}

/** Throws a ModelError, or the signal's reason. */
export async function askEmbeddings(
  { agent, origin, path, headers, key, clock }: Wire,
  request: EmbeddingRequest,
  signal: AbortSignal,
): Promise<Embedded> {
  const { model, input, encoding, dimensions } = request;
  const late = new AbortController();
  const cancel = clock.after(limits.embeddings_ms, () => {
    const patience_s = limits.embeddings_ms / 1000;
    const message = `The provider did not answer within ${patience_s} s.`;
    late.abort(new ModelError("model_timeout", message, { retryable: true }));
  });
  let started = false;
  try {
    const response = await agent.request({
      ...{ origin, path, method: "POST", signal: AbortSignal.any([signal, late.signal]) },
      headers: { ...headers, "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({ model, input, encoding_format: encoding, dimensions }),
    });
    started = true;
    const { statusCode: status } = response;
    const text = await readWhole(response.body, status === 200);
    if (status !== 200) {
      const wait = retryAfter(response.headers["retry-after"], clock.now());
      throw statusError(status, text, { model, key, retry_after_ms: wait });
    }
    return readAnswer(text, request);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw transportError(late.signal.aborted ? late.signal.reason : error, started, null);
  } finally {
    cancel();
  }
}

const unreadable = (message: string): ModelError =>
  new ModelError("model_bad_answer", message, { retryable: false });

/** The body as text; of a refusal its start. Ends its connection when it is too long. */
async function readWhole(body: Dispatcher.ResponseData["body"], good: boolean): Promise<string> {
  const most = good ? limits.embeddings_answer_bytes_max : limits.model_error_bytes_max;
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of body) {
    const bytes = Buffer.from(part);
    size += bytes.length;
    if (size <= most) parts.push(bytes);
    else if (good) throw unreadable("The provider's answer is too long; ask for fewer at once.");
    else break;
  }
  return Buffer.concat(parts).toString("utf8");
}

function readAnswer(text: string, { model, input, encoding }: EmbeddingRequest): Embedded {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    throw unreadable("The provider's answer is not JSON; see OPENAI_BASE_URL.");
  }
  const data = field(answer, "data");
  const wanted = typeof input === "string" || typeof input[0] === "number" ? 1 : input.length;
  if (!Array.isArray(data) || data.length !== wanted) {
    throw unreadable("The provider did not answer with one embedding for each input.");
  }
  const vectors: (string | number[])[] = Array.from({ length: wanted });
  for (const [at, item] of data.entries()) {
    const index = field(item, "index") ?? at;
    const vector = vectorOf(field(item, "embedding"), encoding);
    if (typeof index !== "number" || !(index in vectors) || vectors[index] !== undefined) {
      throw unreadable("The provider's embeddings are not numbered as the inputs are.");
    }
    vectors[index] = vector;
  }
  const named = field(answer, "model");
  const tokens = field(field(answer, "usage"), "prompt_tokens");
  return {
    vectors,
    model: typeof named === "string" && named !== "" ? named : model,
    tokens: typeof tokens === "number" ? tokens : null,
  };
}

/** As it was asked for: some providers know no base64, and the official client takes nothing else. */
function vectorOf(value: unknown, encoding: EmbeddingRequest["encoding"]): string | number[] {
  if (typeof value === "string") {
    const bytes = Buffer.from(value, "base64");
    if (bytes.length === 0 || bytes.length % 4 !== 0) {
      throw unreadable("The provider's embeddings are no list of 32-bit floats.");
    }
    if (encoding === "base64") return value;
    return Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(at * 4));
  }
  if (!Array.isArray(value) || value.length === 0 || !value.every(Number.isFinite)) {
    throw unreadable("The provider's embeddings are no lists of numbers.");
  }
  const numbers = value as number[]; // by the line above
  if (encoding === "float") return numbers;
  const bytes = Buffer.alloc(numbers.length * 4);
  for (const [at, number] of numbers.entries()) bytes.writeFloatLE(number, at * 4);
  return bytes.toString("base64");
}
