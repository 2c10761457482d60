/** A real HTTP receiver of webhooks, which checks the signature as Standard Webhooks says. */
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { expect } from "vitest";
import { cloudEvent } from "./feed.ts";

export interface Received {
  readonly id: string;
  readonly type: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface Receiver {
  readonly url: string;
  /** What it has taken, in the order in which it did. */
  readonly taken: Received[];
  /** Every POST that came, also those that it did not take. */
  readonly posts: string[];
  /** What it checks signatures with. */
  secret: string;
  /** Answers a POST; by default with 200. */
  answer: (response: ServerResponse, id: string) => void;
  close(): Promise<void>;
}

export const webhook_secret = `whsec_${Buffer.from("0123456789abcdef0123456789abcdef").toString("base64")}`;

export async function startReceiver(secret = webhook_secret): Promise<Receiver> {
  const taken: Received[] = [];
  const posts: string[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const body = Buffer.concat(chunks).toString();
    const header = (name: string): string => String(request.headers[name]);
    const id = header("webhook-id");
    posts.push(id);
    const timestamp = header("webhook-timestamp");
    const key = Buffer.from(receiver.secret.slice("whsec_".length), "base64");
    const mac = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
    const signed = header("webhook-signature").split(" ").includes(`v1,${mac}`);
    const fresh = Math.abs(Date.now() / 1_000 - Number(timestamp)) < 300;
    const { type, data, id: of } = cloudEvent(body);
    if (!signed || !fresh || of !== id) return void response.writeHead(401).end();
    response.on("finish", () => {
      if (response.statusCode === 200) taken.push({ id, type, payload: data?.payload ?? {} });
    });
    receiver.answer(response, id);
  };
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.writeHead(500).end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const receiver: Receiver = {
    ...{ secret, url: `http://127.0.0.1:${port}/hooks`, taken, posts },
    answer: (response) => void response.writeHead(200).end(),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return receiver;
}

/** Until it has taken so many. */
export const hasTaken = (receiver: Receiver, count: number): Promise<void> =>
  expect.poll(() => receiver.taken.length, { interval: 10 }).toBe(count);
