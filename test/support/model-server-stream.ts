/** Writes one scripted answer, whole or as a stream of chunks, with its fault at its place. */
import type { ServerResponse } from "node:http";
import { setImmediate, setTimeout } from "node:timers/promises";
import type { Answer } from "./model-server-answer.ts";
import type { Gate } from "./model-server-gate.ts";
import type { Received } from "./model-server.ts";
import { promptTokens } from "./model-server-request.ts";

/** An answer whose open questions the server has settled. */
export interface SettledAnswer extends Omit<Answer, "gate" | "tokens" | "delay_ms"> {
  readonly tokens: readonly string[];
  readonly delay_ms: number;
  readonly gate: Gate | undefined;
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(body));
}

/** Never resolves; ends with the client. */
const forever = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });

/** Faults before any body; true when one answered. */
async function early(
  response: ServerResponse,
  answer: SettledAnswer,
  signal: AbortSignal,
): Promise<boolean> {
  const { fault } = answer;
  if (fault === "hang") return forever(signal);
  if (typeof fault === "number") {
    const headers = answer.retry_after === undefined ? {} : { "retry-after": answer.retry_after };
    const error = {
      message: answer.error_message ?? `scripted ${fault}`,
      type: "scripted",
      code: `scripted_${fault}`,
    };
    sendJson(response, fault, { error }, headers);
    return true;
  }
  if (fault === "content-type") {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    response.end("<!doctype html><title>Sign in</title><p>This is a captive portal.");
    return true;
  }
  return false;
}

const usageOf = (received: Received, tokens: readonly string[]) => ({
  prompt_tokens: promptTokens(received.body),
  completion_tokens: tokens.length,
  total_tokens: promptTokens(received.body) + tokens.length,
});

export async function answerWhole(
  response: ServerResponse,
  received: Received,
  answer: SettledAnswer,
  signal: AbortSignal,
): Promise<void> {
  if (await early(response, answer, signal)) return;
  if (answer.gate !== undefined) for (const _ of answer.tokens) await answer.gate.take(signal);
  received.sent = answer.tokens.length;
  const message = { role: "assistant", content: received.text };
  sendJson(response, 200, {
    id: `chatcmpl-${received.number}`,
    object: "chat.completion",
    created: 0,
    model: received.body.model,
    choices: [{ index: 0, message, finish_reason: answer.finish ?? "stop" }],
    ...(answer.usage === false ? {} : { usage: usageOf(received, answer.tokens) }),
  });
}

export async function streamAnswer(
  response: ServerResponse,
  received: Received,
  answer: SettledAnswer,
  signal: AbortSignal,
): Promise<void> {
  if (await early(response, answer, signal)) return;
  const { tokens, fault } = answer;
  const line_end = answer.crlf === true ? "\r\n" : "\n";
  const last = fault === undefined ? tokens.length : Math.min(answer.after ?? 2, tokens.length);
  const head = `data: {"id":"chatcmpl-${received.number}","object":"chat.completion.chunk","created":0,"model":${JSON.stringify(received.body.model)},"choices":`;
  const chunk = (delta: object, finish: string | null): string =>
    `${head}[{"index":0,"delta":${JSON.stringify(delta)},"finish_reason":${JSON.stringify(finish)}}]}${line_end}${line_end}`;

  /** Resolves when the bytes have left the process, so that writes do not merge. */
  async function write(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    const size = answer.split_bytes ?? bytes.length;
    for (let at = 0; at < bytes.length; at += size) {
      signal.throwIfAborted();
      response.write(bytes.subarray(at, at + size));
      if (answer.burst !== true) await setImmediate();
    }
  }

  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
  response.flushHeaders();
  if (fault === "empty") return void response.end();
  if (fault === "flood") {
    for (;;) await write("data: " + "x".repeat(64 * 1024));
  }
  if (answer.first_delay_ms) await setTimeout(answer.first_delay_ms, undefined, { signal });
  await write(chunk({ role: "assistant", content: "" }, null));
  for (const thought of answer.reasoning ?? []) {
    await answer.gate?.take(signal);
    await write(chunk({ reasoning_content: thought }, null));
  }
  for (const token of tokens.slice(0, last)) {
    if (answer.delay_ms > 0) await setTimeout(answer.delay_ms, undefined, { signal });
    await answer.gate?.take(signal);
    await write(chunk({ content: token }, null));
    received.sent += 1;
  }
  if (fault === "stall") return forever(signal);
  if (fault === "end") return void response.end();
  if (fault === "cut") {
    await new Promise<void>((resolve) => response.write(`: cut${line_end}`, () => resolve()));
    received.state = "finished"; // it was us, not the client
    response.destroy();
    return;
  }
  if (fault === "malformed") await write(`data: {"choices":[{"delta":{"cont${line_end}${line_end}`);
  if (fault === "error") {
    await write(`data: {"error":{"message":"scripted overload","code":503}}${line_end}${line_end}`);
  }
  await write(chunk({}, answer.finish ?? "stop"));
  if (answer.usage ?? received.body.include_usage) {
    const usage = JSON.stringify(usageOf(received, tokens));
    await write(`${head}[],"usage":${usage}}${line_end}${line_end}`);
  }
  response.end(answer.done === false ? "" : `data: [DONE]${line_end}${line_end}`);
}
