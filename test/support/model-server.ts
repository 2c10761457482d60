/**
 * A scripted OpenAI-compatible server over real HTTP: the only thing that tests and benches script.
 * What it answers is chosen, in this order, by the script's queue, by a function of the request, by
 * directives in the last user message (model-server-answer.ts), and by the server's options.
 *
 * As a process: `node test/support/model-server.ts --port 0 --tokens 20 --delay-ms 0` prints
 * `{"url":"http://127.0.0.1:…/v1","pid":…}` and runs until it is ended. There `POST /control/release?n=3`
 * opens the gate and `GET /control/requests` tells what was asked.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { answerTokens, directives, type Answer } from "./model-server-answer.ts";
import { answerEmbeddings, type EmbeddingAsked } from "./model-server-embeddings.ts";
import { createGate } from "./model-server-gate.ts";
import { chatBody, readBody, type ChatRequest } from "./model-server-request.ts";
import { answerWhole, sendJson, streamAnswer } from "./model-server-stream.ts";

/** One chat request as it was received; its last fields change while it is answered. */
export interface Received {
  /** 1, 2, 3 … in order of arrival. */
  readonly number: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: ChatRequest;
  /** The last user message's text. */
  readonly message: string;
  /** The whole text that the answer has when no fault hits. */
  readonly text: string;
  /** Tokens sent so far. */
  sent: number;
  state: "open" | "finished" | "aborted";
}

export interface ModelServerOptions {
  readonly port?: number;
  readonly tokens?: number;
  readonly delay_ms?: number;
  readonly burst?: boolean;
  readonly models?: readonly string[];
  /** Chooses an answer for a request; `undefined` leaves it to directives and options. */
  readonly answer?: (request: ChatRequest, message: string) => Answer | undefined;
  /** Records kept; the oldest are dropped. */
  readonly records_max?: number;
}

export interface ModelServer {
  /** The base URL, as `OPENAI_BASE_URL` takes it: `http://127.0.0.1:<port>/v1`. */
  readonly url: string;
  readonly port: number;
  readonly requests: readonly Received[];
  /** What `GET /v1/models` lists; a number is answered as that HTTP status. */
  models: readonly string[] | number;
  /** How often `GET /v1/models` was asked. */
  readonly listed: () => number;
  /** Queues answers for the next requests. */
  script(...answers: readonly Answer[]): void;
  /** Lets so many tokens of gated answers pass. */
  release(n?: number): void;
  /** The nth request (1 is the first), or the first one that matches, now or later. */
  whenRequest(which?: number | ((request: Received) => boolean)): Promise<Received>;
  /** The nth request whose client closed the connection before the end, now or later. */
  whenAborted(which?: number | ((request: Received) => boolean)): Promise<Received>;
  /** The nth request for embeddings (1 is the first), now or later. */
  whenEmbedding(n?: number): Promise<EmbeddingAsked>;
  /** Open TCP connections. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

type Which<T> = number | ((request: T) => boolean);

/** A list that can be awaited. */
function awaitable<T>(max: number) {
  const items: T[] = [];
  let dropped = 0;
  const waiting = new Set<() => void>();
  const find = (which: Which<T>): T | undefined =>
    typeof which === "number" ? items[which - 1 - dropped] : items.find(which);
  return {
    items,
    add(item: T): void {
      items.push(item);
      if (items.length > max) {
        items.shift();
        dropped += 1;
      }
      for (const look of [...waiting]) look();
    },
    when: (which: Which<T>): Promise<T> =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = find(which);
          if (found === undefined) return;
          waiting.delete(look);
          resolve(found);
        };
        waiting.add(look);
        look();
      }),
  };
}

/** Starts a server on 127.0.0.1. */
export async function startModelServer(options: ModelServerOptions = {}): Promise<ModelServer> {
  const max = options.records_max ?? 10_000;
  const arrived = awaitable<Received>(max);
  const aborted = awaitable<Received>(max);
  const embeddings = awaitable<EmbeddingAsked>(max);
  const queue: Answer[] = [];
  const seen = new Map<string, number>();
  const gate = createGate();
  let number = 0;
  let listed = 0;

  /** Directives of a message; its fault is left out once it has hit `times` requests. */
  function directed(message: string): Answer {
    const { answer, times, count } = directives(message);
    const tokens = answer.tokens ?? answerTokens(message, count ?? options.tokens ?? 8);
    if (times === Number.POSITIVE_INFINITY) return { ...answer, tokens };
    const before = seen.get(message) ?? 0;
    seen.set(message, before + 1);
    const { fault, ...healthy } = answer;
    return before < times && fault !== undefined
      ? { ...healthy, fault, tokens }
      : { ...healthy, tokens };
  }

  async function chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = chatBody(await readBody(request));
    if (body === null) return sendJson(response, 400, { error: { message: "bad body" } });
    const message = body.messages.findLast(({ role }) => role === "user")?.content ?? "";
    const chosen = queue.shift() ?? options.answer?.(body, message);
    const made = chosen === undefined ? directed(message) : chosen;
    const tokens = made.tokens ?? answerTokens(message, options.tokens ?? 8);
    const answer = {
      delay_ms: options.delay_ms ?? 0,
      burst: options.burst ?? false,
      ...made,
      tokens,
      gate: made.gate === true ? gate : made.gate === false ? undefined : made.gate,
    };
    const received: Received = {
      number: (number += 1),
      headers: request.headers,
      body,
      message,
      text: tokens.join(""),
      sent: 0,
      state: "open",
    };
    const gone = new AbortController();
    response.on("close", () => {
      const whole = response.writableFinished;
      if (received.state === "open") received.state = whole ? "finished" : "aborted";
      gone.abort(new Error("the client has gone"));
      if (received.state === "aborted") aborted.add(received);
    });
    arrived.add(received);
    if (body.stream) await streamAnswer(response, received, answer, gone.signal);
    else await answerWhole(response, received, answer, gone.signal);
  }

  function route(request: IncomingMessage, response: ServerResponse): Promise<void> | void {
    const url = new URL(request.url ?? "/", "http://127.0.0.1");
    const path = `${request.method} ${url.pathname}`;
    if (path === "POST /v1/chat/completions") return chat(request, response);
    if (path === "POST /v1/embeddings") {
      return answerEmbeddings(request, response, (asked) => embeddings.add(asked));
    }
    if (path === "GET /v1/models") {
      listed += 1;
      if (typeof server_.models === "number")
        return sendJson(response, server_.models, { error: {} });
      const data = server_.models.map((id) => ({ id, object: "model", owned_by: "script" }));
      return sendJson(response, 200, { object: "list", data });
    }
    if (path === "POST /control/release") {
      gate.release(Number(url.searchParams.get("n") ?? 1));
      return sendJson(response, 200, {});
    }
    if (path === "GET /control/requests") return sendJson(response, 200, arrived.items);
    return sendJson(response, 404, { error: { message: `no such path: ${path}` } });
  }

  const server = createServer((request, response) => {
    Promise.resolve(route(request, response)).catch((error: unknown) => {
      // A client that goes away is part of the game; everything else must be seen.
      if (!response.destroyed) {
        console.error(error);
        response.destroy();
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port ?? 0, "127.0.0.1", () => resolve());
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP port");

  const server_: ModelServer = {
    url: `http://127.0.0.1:${address.port}/v1`,
    port: address.port,
    requests: arrived.items,
    models: options.models ?? ["scripted-1", "scripted-2"],
    listed: () => listed,
    script: (...answers) => void queue.push(...answers),
    release: (n) => gate.release(n),
    whenRequest: (which = 1) => arrived.when(which),
    whenAborted: (which = 1) => aborted.when(which),
    whenEmbedding: (n = 1) => embeddings.when(n),
    connections: () =>
      new Promise((resolve, reject) =>
        server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
      ),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return server_;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values } = parseArgs({
    options: {
      port: { type: "string", default: "0" },
      tokens: { type: "string", default: "20" },
      "delay-ms": { type: "string", default: "0" },
      burst: { type: "boolean", default: false },
    },
  });
  const server = await startModelServer({
    port: Number(values.port),
    tokens: Number(values.tokens),
    delay_ms: Number(values["delay-ms"]),
    burst: values.burst,
    records_max: 1_000,
  });
  console.log(JSON.stringify({ url: server.url, pid: process.pid }));
}
