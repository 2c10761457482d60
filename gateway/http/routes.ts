/**
 * Every operation of the HTTP API, and what each request goes through before and after: CORS, the match
 * of path and method, who asks and whether he may, the limit, the body, and one coded problem for
 * whatever fails. What an operation does stands in its own file.
 */
import { AppError } from "../../schemas/errors.ts";
import { Uuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Check, check, nestsDeeper, parseJson, type Schema } from "../../schemas/validate.ts";
import * as runs from "../ag-ui/operations.ts";
import * as chats from "../ai-sdk/operations.ts";
import * as audit from "../api/audit-api.ts";
import { bearerOf } from "../auth/authenticate.ts";
import { must } from "../auth/identity.ts";
import * as auth from "../auth/auth-api.ts";
import * as keys from "../auth/keys-api.ts";
import * as users from "../auth/users-api.ts";
import * as workspace from "../auth/workspace-api.ts";
import type { Asked, Shown } from "./call.ts";
import { bytesTag, isKnown } from "./conditions.ts";
import * as conversations from "../api/conversations-api.ts";
import { answerOptions, letOriginRead } from "./cors.ts";
import { describing } from "../api/description-api.ts";
import * as chat from "../api/chat-api.ts";
import type { Exchange } from "./exchange.ts";
import * as history from "../api/history-api.ts";
import * as messages from "../api/messages-api.ts";
import { sameRequest } from "./idempotency.ts";
import { admit, ipOf } from "../limits/admit.ts";
import * as shares from "../api/shares-api.ts";
import { matcher } from "./matcher.ts";
import { openAiRefusal, speaksOpenAi } from "../openai/errors.ts";
import * as openAi from "../openai/operations.ts";
import { commands, type Operation, taken } from "./operation.ts";
import { serveAsset } from "./page.ts";
import type { Service } from "../service.ts";
import * as serviceApi from "../api/service-api.ts";
import * as usage from "../api/usage-api.ts";
import * as webhooks from "../api/webhooks-api.ts";

/** The whole table; `/openapi.json` is made of it. */
export const operations: readonly Operation[] = [
  ...describing(() => operations),
  ...serviceApi.operations,
  ...auth.operations,
  ...users.operations,
  ...workspace.operations,
  ...keys.operations,
  ...shares.operations,
  ...conversations.operations,
  ...messages.operations,
  ...history.operations,
  ...audit.operations,
  ...usage.operations,
  ...webhooks.operations,
  ...chats.operations,
  ...runs.operations,
  ...openAi.operations,
  ...chat.operations,
];

interface Checks {
  readonly body: Check<unknown> | null;
  readonly params: ReadonlyMap<string, Check<unknown>>;
}

const match = matcher(operations);
const compiled = new Map<Schema, Check<unknown>>();
const compile = (schema: Schema): Check<unknown> => {
  const made = compiled.get(schema) ?? check(schema);
  compiled.set(schema, made);
  return made;
};
const checks: ReadonlyMap<Operation, Checks> = new Map(
  operations.map((operation) => {
    const params = Object.entries(operation.params ?? {});
    return [
      operation,
      {
        body: operation.body === undefined ? null : compile(operation.body),
        params: new Map(params.map(([name, schema]) => [name, compile(schema)])),
      },
    ];
  }),
);
const isUuidPart = compile(Uuid);

/** When to come again, where that is known. */
export const retryAfter = ({ retry_s }: AppError): Record<string, string> =>
  retry_s === null ? {} : { "Retry-After": String(retry_s) };

/** Answers one request; never throws. */
export async function handle(
  exchange: Exchange,
  service: Service,
  corsOrigins: readonly string[],
): Promise<void> {
  if (speaksOpenAi(exchange.path)) exchange.refuseAs(openAiRefusal);
  try {
    letOriginRead(exchange, corsOrigins);
    if (exchange.ambiguous) {
      exchange.last = true;
      throw new AppError(
        "bad_request",
        "The length of the body is said twice, or in another coding.",
      );
    }
    if (exchange.method === "OPTIONS") {
      return answerOptions(exchange, methodsOf(exchange, service), corsOrigins);
    }
    await dispatch(exchange, service);
  } catch (error) {
    if (error instanceof AppError) {
      return exchange.problem(error.code, error.message, retryAfter(error));
    }
    service.ports.report({ what: `${exchange.method} failed (trace ${exchange.traceId})`, error });
    exchange.problem("internal");
  }
}

/** The addresses of WebSockets, which the native server serves when it is asked for an upgrade. */
export function socketRoute(path: string): "/ws/chat" | "/chat/stream/{id}" | null {
  if (path === "/ws/chat") return path;
  return /^\/chat\/stream\/[^/]+$/.test(path) ? "/chat/stream/{id}" : null;
}

const reading = ["GET", "HEAD"] as const;

/** The methods of a path, as `Allow` names them; none when there is no such path. */
function methodsOf(exchange: Exchange, service: Service): readonly string[] {
  if (service.ports.page.has(exchange.path)) return reading;
  const methods = match(exchange.method, exchange.path)?.methods ?? [];
  return methods.flatMap((one) => (one === "GET" ? reading : [one]));
}

async function dispatch(exchange: Exchange, service: Service): Promise<void> {
  const asset = service.ports.page.get(exchange.path);
  if (asset !== undefined) {
    exchange.route = exchange.path;
    const reads = exchange.method === "GET" || exchange.method === "HEAD";
    return reads ? serveAsset(exchange, asset) : notAllowed(exchange, reading);
  }
  const socket = socketRoute(exchange.path);
  if (socket !== null) {
    exchange.route = socket;
    // RFC 9110 §15.5.22.
    const upgrade = { Upgrade: "websocket", Connection: "Upgrade" };
    return exchange.problem("upgrade_required", undefined, upgrade);
  }
  const found = match(exchange.method, exchange.path);
  if (found === null) {
    const another = /^\/api\/v\d+(\/|$)/.test(exchange.path) && !/^\/api\/v1\b/.test(exchange.path);
    return exchange.problem(another ? "unknown_version" : "not_found");
  }
  if (found.operation === undefined) return notAllowed(exchange, methodsOf(exchange, service));
  exchange.route = found.operation.path;
  return serve(exchange, service, found.operation, found.params);
}

const notAllowed = (exchange: Exchange, methods: readonly string[]): void =>
  exchange.problem("method_not_allowed", undefined, { Allow: methods.join(", ") });

const json = { "Content-Type": "application/json", "Cache-Control": "no-store" };

async function serve(
  exchange: Exchange,
  service: Service,
  operation: Operation,
  params: ReadonlyMap<string, string>,
): Promise<void> {
  const reads = exchange.method === "GET" || exchange.method === "HEAD";
  // The body is asked for before anything is awaited, and awaited after it is known who sends it.
  const incoming = reads
    ? Promise.resolve(Buffer.alloc(0))
    : exchange.body(operation.body_bytes_max);
  incoming.catch(() => {});
  const shown = await run(exchange, service, operation, params, incoming);
  if (shown === taken) return;
  const { value, sequence } = shown;
  const headers: Record<string, string> = {
    ...(sequence > 0 ? { "X-Colloquy-Seq": `${sequence}` } : {}),
    ...(operation.media === undefined ? {} : { "Content-Type": operation.media }),
    ...shown.headers,
  };
  const status = shown.status ?? statusOf(operation);
  const tagged = reads && operation.limit === "read" && status === 200;
  if (!tagged || value === null || value instanceof Uint8Array) {
    return exchange.answer({ status, headers, body: value });
  }
  const body = Buffer.from(JSON.stringify(value));
  const tag = (headers["ETag"] ??= bytesTag(body));
  if (isKnown(exchange, tag)) return exchange.answer({ status: 304, headers, body: null });
  exchange.answer({ status, headers: { ...json, ...headers }, body });
}

async function run(
  exchange: Exchange,
  service: Service,
  operation: Operation,
  params: ReadonlyMap<string, string>,
  incoming: Promise<Buffer>,
): Promise<Shown | typeof taken> {
  if (operation.access === "public") {
    await admit(exchange, service, operation.limit, null);
    return operation.run(asked(exchange, service, operation, params, await incoming), exchange);
  }
  if (!accepts(exchange, operation)) throw new AppError("not_acceptable");
  const who = await service.authenticate(bearerOf(exchange), ipOf(exchange, service));
  exchange.who = who;
  await admit(exchange, service, operation.limit, who);
  must(who, operation.access);
  const bytes = await incoming;
  const known = asked(exchange, service, operation, params, bytes);
  const { idempotencyKey: key } = known;
  if (key !== null && commands(operation)) {
    const { method, path } = exchange;
    await sameRequest(service, who, { key, method, path, body: bytes });
  }
  return operation.run({ ...known, who }, exchange);
}

/** The only successful status that is no stream. */
function statusOf({ answers }: Operation): number {
  const found = Object.entries(answers).find(([, schema]) => schema !== "stream");
  return Number(found?.[0] ?? 200);
}

function accepts(exchange: Exchange, { media, answers, streams: chosen }: Operation): boolean {
  const ranges = exchange
    .header("accept")
    .split(",")
    .map((range) => range.split(";")[0]?.trim().toLowerCase() ?? "");
  const streams = chosen === true || Object.values(answers).includes("stream");
  const possible = ["", "*/*", "application/*", "application/json", "application/problem+json"];
  if (streams) possible.push("text/event-stream", "text/*");
  const own = media?.split(";")[0];
  if (own !== undefined) possible.push(own, own.replace(/\/.*/, "/*"));
  return ranges.some((range) => possible.includes(range));
}

/** What the request says, checked. Throws `bad_request`, `not_found`, and what its body deserves. */
function asked(
  exchange: Exchange,
  service: Service,
  operation: Operation,
  params: ReadonlyMap<string, string>,
  bytes: Buffer,
): Asked {
  const known = checks.get(operation);
  for (const [name, value] of params) {
    const own = known?.params.get(name);
    if (own === undefined && !isUuidPart.is(value)) throw new AppError("not_found");
    const parsed = own?.parse(value);
    if (parsed?.ok === false) {
      throw new AppError("bad_request", parsed.problem.replace(/^value/, name));
    }
  }
  return {
    service,
    query: exchange.query,
    body: bodyOf(exchange, known?.body ?? null, bytes),
    min_seq: sequenceOf(exchange),
    idempotencyKey: keyOf(exchange),
    traceparent: exchange.header("traceparent").slice(0, 64) || null,
    param(name) {
      const value = params.get(name);
      if (value === undefined) throw new Error(`${operation.path} has no part ${name}`);
      return value;
    },
  };
}

function bodyOf(exchange: Exchange, schema: Check<unknown> | null, bytes: Buffer): unknown {
  const value = parseBody(exchange, bytes);
  if (schema === null) return undefined;
  const parsed = schema.parse(value ?? {});
  if (parsed.ok) return parsed.value;
  const text = typeof value === "object" && value !== null && "text" in value ? value.text : "";
  const long = typeof text === "string" && text.length > limits.text_chars_max;
  if (long) throw new AppError("text_too_long");
  throw new AppError("bad_request", parsed.problem);
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Undefined when there is none. Throws `unsupported_media_type`, `invalid_utf8`, `bad_json`. */
function parseBody(exchange: Exchange, bytes: Buffer): unknown {
  const coding = exchange.header("content-encoding").trim().toLowerCase();
  if (coding !== "" && coding !== "identity") {
    // Nothing is unpacked here, so nothing small can become large (I11).
    throw new AppError("unsupported_media_type", "Compressed bodies are not taken.");
  }
  if (bytes.byteLength === 0) return undefined;
  const type = exchange.header("content-type").split(";")[0]?.trim().toLowerCase();
  if (type !== "application/json") throw new AppError("unsupported_media_type");
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new AppError("invalid_utf8", "The body is not valid UTF-8.");
  }
  if (nestsDeeper(text, limits.json_levels_max)) {
    throw new AppError(
      "bad_request",
      `The body nests deeper than ${limits.json_levels_max} levels.`,
    );
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
  const { idempotency_key_chars_max: most } = limits;
  if (key.length > most) {
    throw new AppError("bad_request", `Idempotency-Key is at most ${most} long`);
  }
  return key;
}
