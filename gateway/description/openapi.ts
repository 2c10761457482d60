/**
 * `/openapi.json`: OpenAPI 3.1 of the table of operations and of `schemas/`. It says nothing that is not
 * made of the value that also serves the request.
 */
import { type ErrorCode, errors } from "../../schemas/errors.ts";
import { OpenAiErrorBody } from "../../schemas/openai.ts";
import type { ObjectSchema, Schema } from "../../schemas/validate.ts";
import { Uuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commands, type Operation, type Tag } from "../http/operation.ts";
import { components, described, type Json } from "./references.ts";

type JsonObject = { readonly [name: string]: Json };

const tags: Readonly<Record<Tag, string>> = {
  auth: "Signing in and out.",
  users: "The signed-in person.",
  workspace: "The tenant: its members, invitations and keys.",
  conversations: "Conversations.",
  messages: "Messages and the answers to them.",
  history: "What happened, and how it stood.",
  usage: "Tokens and cost.",
  models: "The models that can be asked.",
  openai: "The wire format of OpenAI.",
  agents: "Streams for user-interface libraries.",
  webhooks: "Events sent to the tenant's own servers.",
  service: "The service itself.",
};

const text: Json = { type: "string" };
const header = (name: string, description: string, schema: Json = text): Json => ({
  ...{ name, in: "header", required: false, description, schema },
});
const parameters = {
  sequence: header(
    "X-Colloquy-Seq",
    "Wait until the answer shows at least this sequence, as an earlier answer named it.",
    { type: "integer", minimum: 0 },
  ),
  idempotencyKey: header(
    "Idempotency-Key",
    "A repeat with the same key and body takes effect once; with another body it is refused.",
    { type: "string", maxLength: 255 },
  ),
  ifMatch: header("If-Match", "Only if it is still what this ETag names."),
  ifNoneMatch: header("If-None-Match", "304 when it is still what this ETag names."),
} as const;
const headers = {
  sequence: { description: "The log's sequence that this answer shows.", schema: text },
  etag: { description: "What `If-None-Match` and `If-Match` take.", schema: text },
  version: { description: "The version of the API.", schema: text },
} as const satisfies Record<string, Json>;

/** The codes that an operation can be refused with: its own, and those of what it goes through. */
export function problemsOf(operation: Operation): ReadonlySet<ErrorCode> {
  const { method, path, access, limit, refuses = [] } = operation;
  const codes: ErrorCode[] = [...refuses, "bad_request", "internal", "unavailable"];
  codes.push("shutting_down");
  if (limit !== "none") codes.push("rate_limited");
  if (access !== "public") {
    codes.push("unauthenticated", "token_expired", "forbidden", "not_acceptable");
  }
  if (path.includes("{")) codes.push("not_found");
  if (method !== "GET") {
    codes.push("bad_json", "invalid_utf8", "too_large");
  }
  // Also of a GET that brings a body, or says that it does.
  codes.push("unsupported_media_type");
  if (commands(operation)) codes.push("idempotency_mismatch");
  // Whoever signs in asks an actor, too.
  if (commands(operation) || limit === "sign-in") {
    codes.push("command_unanswered", "command_dead", "overloaded");
  }
  // What is asked of the log and of the database waits for its tenant's turn.
  if (access !== "public" && limit !== "none") codes.push("tenant_busy");
  return new Set(codes);
}

function parametersOf(operation: Operation): Json[] {
  const { method, path, params = {}, query, limit } = operation;
  const found: Json[] = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    ...{ name, in: "path", required: true, schema: described(params[name] ?? Uuid) },
  }));
  for (const [name, schema] of Object.entries(propertiesOf(query))) {
    found.push({ name, in: "query", required: false, schema: described(schema) });
  }
  const refer = (name: keyof typeof parameters): void =>
    void found.push({ $ref: `#/components/parameters/${name}` });
  if (operation.access !== "public") refer("sequence");
  if (method === "GET" && limit === "read") refer("ifNoneMatch");
  if (commands(operation)) refer("idempotencyKey");
  if (operation.refuses?.includes("precondition_failed") === true) refer("ifMatch");
  return found;
}

const propertiesOf = (query: ObjectSchema | undefined): Readonly<Record<string, Schema>> =>
  query?.properties ?? {};

const contentOf = (schema: Schema, media = "application/json"): Record<string, Json> => ({
  [media]: { schema: described(schema) },
});
const problem: Json = {
  "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" } },
};
/** The form that its clients know, with the same codes (gateway/openai/errors.ts). */
const openai_refusal: Json = { "application/json": { schema: described(OpenAiErrorBody) } };

function responsesOf(operation: Operation): JsonObject {
  const { answers, media, method, limit } = operation;
  const responses: Record<string, Json> = {};
  const common = {
    "X-Colloquy-Version": { $ref: "#/components/headers/version" },
    ...(operation.access === "public"
      ? {}
      : { "X-Colloquy-Seq": { $ref: "#/components/headers/sequence" } }),
  };
  for (const [status, schema] of Object.entries(answers)) {
    const description = schema === "stream" ? "A stream of events." : "It is done.";
    const read = method === "GET" && limit === "read" && schema !== "stream";
    const tagged =
      read || (schema !== null && operation.refuses?.includes("precondition_failed") === true);
    const stream = { [media ?? "text/event-stream"]: { schema: text } };
    responses[status] = {
      description,
      headers: { ...common, ...(tagged ? { ETag: { $ref: "#/components/headers/etag" } } : {}) },
      ...(schema === null
        ? {}
        : { content: schema === "stream" ? stream : contentOf(schema, media) }),
    };
    if (read) responses["304"] = { description: "It is still what `If-None-Match` names." };
  }
  if (operation.streams === true) {
    const known = answers[200];
    const whole =
      known === undefined || known === null || known === "stream" ? {} : contentOf(known);
    responses["200"] = {
      description: "It is done; with `Accept: text/event-stream` a stream of events.",
      headers: common,
      content: { ...whole, "text/event-stream": { schema: text } },
    };
  }
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of problemsOf(operation)) {
    const { status } = errors[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  for (const [status, codes] of byStatus) {
    // An answer of the operation's own, as 503 of `/ready`, stays.
    responses[status] ??= {
      description: codes.map((code) => `\`${code}\`: ${errors[code].message}`).join(" "),
      content: operation.tag === "openai" ? openai_refusal : problem,
    };
  }
  return responses;
}

function operationOf(operation: Operation): JsonObject {
  const { id, summary, tag, access, body } = operation;
  return {
    ...{ operationId: id, summary, tags: [tag] },
    ...(access === "public" ? {} : { description: `Needs the permission \`${access}\`.` }),
    parameters: parametersOf(operation),
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: "required" in body && Array.isArray(body.required),
            content: { "application/json": { schema: described(body) } },
          },
        }),
    responses: responsesOf(operation),
    security: access === "public" ? [] : [{ token: [] }, { key: [] }],
  };
}

export function openApi(operations: readonly Operation[]): JsonObject {
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of operations) {
    const place = (paths[operation.path] ??= {});
    place[operation.method.toLowerCase()] = operationOf(operation);
  }
  const used = new Set(operations.map(({ tag }) => tag));
  return {
    openapi: "3.1.0",
    info: {
      title: "Colloquy",
      version: "1.0.0",
      description: `The HTTP API. Live frames are in /asyncapi.json. Failures are problems (RFC 9457) with a \`code\`. A body has at most ${limits.body_bytes_max} bytes.`,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: "/" }],
    tags: [...used].map((name) => ({ name, description: tags[name] })),
    paths,
    components: {
      schemas: components(),
      parameters,
      headers,
      securitySchemes: {
        token: {
          ...{ type: "http", scheme: "bearer", bearerFormat: "JWT" },
          description: "An access token.",
        },
        key: {
          ...{ type: "http", scheme: "bearer", bearerFormat: "clq_…" },
          description: "An API key of the workspace, in the place of an access token.",
        },
      },
    },
  };
}
