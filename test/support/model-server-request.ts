/** Reads and checks what a client asks of the scripted model server. */
import type { IncomingMessage } from "node:http";

/** The part of an OpenAI chat request that scripts look at. */
export interface ChatRequest {
  readonly model: string;
  readonly stream: boolean;
  readonly include_usage: boolean;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly temperature?: unknown;
  readonly max_tokens?: unknown;
}

/** The request's body as text. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;

/** `null` when a real server would refuse the body. */
export function chatBody(text: string): ChatRequest | null {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(body) || typeof body["model"] !== "string") return null;
  const list = body["messages"];
  if (!Array.isArray(list) || list.length === 0) return null;
  const messages: { role: string; content: string }[] = [];
  for (const message of list) {
    if (!isRecord(message)) return null;
    const { role, content } = message;
    if (typeof role !== "string" || typeof content !== "string") return null;
    messages.push({ role, content });
  }
  const options = body["stream_options"];
  return {
    model: body["model"],
    stream: body["stream"] === true,
    include_usage: isRecord(options) && options["include_usage"] === true,
    messages,
    ...{ temperature: body["temperature"], max_tokens: body["max_tokens"] },
  };
}

/** What the server says a request used: one token per word of the messages. */
export const promptTokens = (request: ChatRequest): number =>
  request.messages.reduce((sum, { content }) => sum + content.split(/\s+/).length, 0);
