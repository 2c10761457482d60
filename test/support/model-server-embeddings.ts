/**
 * `POST /v1/embeddings` of the scripted model server: the vector of a text is the lengths and sums of its
 * letters, so that equal texts have equal vectors. Directives stand in the first input:
 *
 *   [[fault:429 retry-after=7]] [[hang]] [[floats]] (whatever is asked for) [[base64]] (the same)
 *   [[fewer]] (one is missing) [[reversed]] (numbered, but in another order) [[no-json]] [[flood]]
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { directives } from "./model-server-answer.ts";
import { readBody } from "./model-server-request.ts";
import { sendJson } from "./model-server-stream.ts";

/** As it came. */
export interface EmbeddingAsked {
  readonly headers: IncomingMessage["headers"];
  readonly body: Readonly<Record<string, unknown>>;
  /** Resolves when its connection is gone or its answer is out: whether it was the answer. */
  readonly over: Promise<boolean>;
}

/** The vector that a text or list of tokens has here. */
export function vectorOf(input: unknown, dimensions = 4): number[] {
  const codes = typeof input === "string" ? [...Buffer.from(input)] : (input as number[]); // as the wire has it
  const sum = codes.reduce((all, code) => all + code, 0);
  // Quarters are the same as 32-bit and 64-bit floats.
  return Array.from({ length: dimensions }, (_, at) => (sum + at * codes.length) / 4);
}

const packed = (vector: readonly number[]): string =>
  Buffer.from(new Float32Array(vector).buffer).toString("base64");

export async function answerEmbeddings(
  request: IncomingMessage,
  response: ServerResponse,
  asked: (asked: EmbeddingAsked) => void,
): Promise<void> {
  const over = new Promise<boolean>((resolve) => {
    response.on("close", () => resolve(response.writableFinished));
  });
  const body = JSON.parse(await readBody(request)) as Record<string, unknown>; // clients of ours send objects
  asked({ headers: request.headers, body, over });
  const { input, model } = body;
  const many = Array.isArray(input) && typeof input[0] !== "number";
  const inputs: unknown[] = many ? input : [input];
  const first = typeof inputs[0] === "string" ? inputs[0] : "";
  const says = (word: string): boolean => first.includes(`[[${word}]]`);
  const { fault, retry_after } = directives(first).answer;
  if (typeof fault === "number") {
    const headers = retry_after === undefined ? {} : { "retry-after": retry_after };
    return sendJson(response, fault, { error: { message: `scripted ${fault}` } }, headers);
  }
  if (says("hang")) return;
  if (says("no-json")) return void response.end("<!doctype html>");
  if (says("flood")) return flood(response);
  const base64 = says("base64") || (body["encoding_format"] === "base64" && !says("floats"));
  const dimensions = typeof body["dimensions"] === "number" ? body["dimensions"] : 4;
  const data = inputs.map((one, index) => {
    const vector = vectorOf(one, dimensions);
    return { object: "embedding", index, embedding: base64 ? packed(vector) : vector };
  });
  if (says("fewer")) data.pop();
  if (says("reversed")) data.reverse();
  const usage = { prompt_tokens: inputs.length, total_tokens: inputs.length };
  return sendJson(response, 200, { object: "list", data, model, usage });
}

/** Never ends by itself. */
function flood(response: ServerResponse): void {
  const more = (): void => {
    while (!response.destroyed && response.write(" ".repeat(64 * 1024)));
  };
  response.on("drain", more);
  more();
}
