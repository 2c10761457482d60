/**
 * The table of HTTP routes and what every request goes through before and after: CORS, the match of
 * path and method, the token, the body, and one coded problem for whatever fails.
 */
import { AppError, type ErrorCode } from "../schemas/errors.ts";
import { isUuid } from "../schemas/ids.ts";
import { parseJson } from "../schemas/validate.ts";
import { verifyAccessToken } from "./access-token.ts";
import { listAudit } from "./audit-api.ts";
import type { Call, Shown } from "./call.ts";
import {
  act,
  createOne,
  deleteOne,
  listAll,
  listMessages,
  patchOne,
  postOne,
  readOne,
} from "./conversations-api.ts";
import type { Exchange } from "./exchange.ts";
import { listEvents, readState } from "./history-api.ts";
import { localSignIn } from "./local-sign-in.ts";
import { metrics_type, metricsText } from "./metrics.ts";
import { serveAsset } from "./page.ts";
import type { Service } from "./service.ts";

type Method = "GET" | "POST" | "PATCH" | "DELETE";
interface Route {
  readonly status: number;
  /** `ids`: the parts of the path that vary, in order; not checked yet. */
  answer(call: Call, ids: readonly string[]): Promise<Shown<object | null>>;
}
interface Place {
  readonly path: RegExp;
  readonly methods: Readonly<Partial<Record<Method, Route>>>;
}

const at = (ids: readonly string[], index: number): string => {
  const id = ids[index];
  if (!isUuid(id)) throw new AppError("not_found");
  return id;
};
const route = (status: number, answer: Route["answer"]): Route => ({ status, answer });
const base = "^/api/v1/conversations";

const places: readonly Place[] = [
  {
    path: new RegExp(`${base}$`),
    methods: {
      GET: route(200, async (call) => ({ value: await listAll(call), sequence: call.min_seq })),
      POST: route(201, (call) => createOne(call)),
    },
  },
  {
    path: new RegExp(`${base}/([^/]+)$`),
    methods: {
      GET: route(200, (call, ids) => readOne(call, at(ids, 0))),
      PATCH: route(200, (call, ids) => patchOne(call, at(ids, 0))),
      DELETE: route(204, (call, ids) => deleteOne(call, at(ids, 0))),
    },
  },
  {
    path: new RegExp(`${base}/([^/]+)/messages$`),
    methods: {
      GET: route(200, (call, ids) => listMessages(call, at(ids, 0))),
      POST: route(202, (call, ids) => postOne(call, at(ids, 0))),
    },
  },
  {
    path: new RegExp(`${base}/([^/]+)/events$`),
    methods: { GET: route(200, (call, ids) => listEvents(call, at(ids, 0))) },
  },
  {
    path: new RegExp(`${base}/([^/]+)/at/([^/]+)$`),
    methods: { GET: route(200, (call, ids) => readState(call, at(ids, 0), ids[1] ?? "")) },
  },
  {
    path: /^\/api\/v1\/audit$/,
    methods: {
      GET: route(200, async (call) => ({ value: await listAudit(call), sequence: call.min_seq })),
    },
  },
  {
    path: new RegExp(`${base}/([^/]+)/cancel$`),
    methods: { POST: route(202, (call, ids) => act(call, at(ids, 0), "cancel", null)) },
  },
  ...(["regenerate", "edit"] as const).map((name) => ({
    path: new RegExp(`${base}/([^/]+)/messages/([^/]+)/${name}$`),
    methods: {
      POST: route(202, (call, ids) => act(call, at(ids, 0), name, at(ids, 1))),
    },
  })),
];

/** Answers one request; never throws. */
export async function handle(
  exchange: Exchange,
  service: Service,
  corsOrigins: readonly string[],
): Promise<void> {
  try {
    if (allowOrigin(exchange, corsOrigins)) return;
    await dispatch(exchange, service);
  } catch (error) {
    if (error instanceof AppError) return exchange.problem(error.code, error.message);
    service.ports.report({ what: `${exchange.method} failed (trace ${exchange.traceId})`, error });
    exchange.problem("internal");
  }
}

/** CORS by allow-list; true when the request was a preflight and is answered. */
function allowOrigin(exchange: Exchange, corsOrigins: readonly string[]): boolean {
  const origin = exchange.header("origin");
  if (origin !== "") exchange.common["Vary"] = "Origin";
  const allowed = origin !== "" && corsOrigins.includes(origin);
  if (allowed) {
    exchange.common["Access-Control-Allow-Origin"] = origin;
    exchange.common["Access-Control-Expose-Headers"] = "X-Colloquy-Seq, Location, ETag";
  }
  if (exchange.method !== "OPTIONS") return false;
  const headers: Record<string, string> = allowed
    ? {
        "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
        "Access-Control-Allow-Headers":
          "Authorization, Content-Type, Idempotency-Key, X-Colloquy-Seq, traceparent",
        "Access-Control-Max-Age": "600",
      }
    : {};
  exchange.answer({ status: 204, headers, body: null });
  return true;
}

async function dispatch(exchange: Exchange, service: Service): Promise<void> {
  const { ports } = service;
  const reads = exchange.method === "GET" || exchange.method === "HEAD";
  const asset = ports.page.get(exchange.path);
  if (asset !== undefined) {
    return reads ? serveAsset(exchange, asset) : notAllowed(exchange, "GET, HEAD");
  }
  switch (exchange.path) {
    case "/health":
    case "/healthz":
      if (!reads) return notAllowed(exchange, "GET, HEAD");
      return exchange.answer({ status: 200, body: { status: "ok" } });
    case "/ready": {
      if (!reads) return notAllowed(exchange, "GET, HEAD");
      const readiness = await ports.ready();
      return exchange.answer({ status: readiness.ready ? 200 : 503, body: readiness });
    }
    case "/metrics":
      if (!reads) return notAllowed(exchange, "GET, HEAD");
      return exchange.answer({
        status: 200,
        headers: { "Content-Type": metrics_type, "Cache-Control": "no-store" },
        body: Buffer.from(await metricsText(ports)),
      });
    case "/api/v1/auth/local":
      if (exchange.method !== "POST") return notAllowed(exchange, "POST");
      return exchange.answer({ status: 200, body: await localSignIn(exchange, ports) });
    case "/ws/chat":
      return exchange.problem("bad_request", "This address is a WebSocket.");
  }
  for (const place of places) {
    const match = place.path.exec(exchange.path);
    if (match === null) continue;
    const method = exchange.method === "HEAD" ? "GET" : exchange.method;
    // A lookup by an unknown name gives undefined, which is what is asked for here.
    const found = place.methods[method as Method];
    if (found === undefined) return notAllowed(exchange, Object.keys(place.methods).join(", "));
    return answer(exchange, service, found, match.slice(1));
  }
  exchange.problem("not_found");
}

const notAllowed = (exchange: Exchange, allow: string): void =>
  exchange.problem("method_not_allowed", undefined, { Allow: allow });

async function answer(
  exchange: Exchange,
  service: Service,
  found: Route,
  ids: readonly string[],
): Promise<void> {
  const { secret, clock } = service.ports;
  const reads = exchange.method === "GET" || exchange.method === "HEAD";
  // The body is asked for before anything is awaited, and awaited after the token is judged.
  const incoming = reads ? Promise.resolve(Buffer.alloc(0)) : exchange.body();
  incoming.catch(() => {});
  const refused = headerProblem(exchange);
  if (refused !== null) return exchange.problem(refused);
  const token = /^Bearer ([^\s]+)$/i.exec(exchange.header("authorization"))?.[1];
  if (token === undefined) return exchange.problem("unauthenticated");
  const who = verifyAccessToken(secret, token, clock.now());
  const body = parseBody(exchange, await incoming);
  const call: Call = {
    service,
    who,
    query: exchange.query,
    body,
    min_seq: sequenceOf(exchange),
    idempotencyKey: keyOf(exchange),
    traceparent: exchange.header("traceparent").slice(0, 64) || null,
  };
  const { value, sequence } = await found.answer(call, ids);
  const headers: Record<string, string> = sequence > 0 ? { "X-Colloquy-Seq": `${sequence}` } : {};
  if (found.status === 201 && value !== null && "id" in value) {
    headers["Location"] = `/api/v1/conversations/${String(value.id)}`;
  }
  exchange.answer({ status: found.status, headers, body: value });
}

function headerProblem(exchange: Exchange): ErrorCode | null {
  const accept = exchange.header("accept");
  const ranges = accept.split(",").map((range) => range.split(";")[0]?.trim().toLowerCase() ?? "");
  const json = ["", "*/*", "application/*", "application/json", "application/problem+json"];
  return ranges.some((range) => json.includes(range)) ? null : "not_acceptable";
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

function parseBody(exchange: Exchange, bytes: Buffer): unknown {
  if (bytes.byteLength === 0) return undefined;
  const type = exchange.header("content-type").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new AppError("unsupported_media_type");
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new AppError("invalid_utf8", "The body is not valid UTF-8.");
  }
  const value = parseJson(text);
  if (value === undefined) throw new AppError("bad_json");
  return value;
}

function sequenceOf(exchange: Exchange): number {
  const wished = exchange.header("x-colloquy-seq");
  if (wished === "") return 0;
  if (!/^\d{1,15}$/.test(wished)) throw new AppError("bad_request", "X-Colloquy-Seq is a number");
  return Number(wished);
}

function keyOf(exchange: Exchange): string | null {
  const key = exchange.header("idempotency-key");
  if (key === "") return null;
  if (key.length > 255) throw new AppError("bad_request", "Idempotency-Key is at most 255 long");
  return key;
}
