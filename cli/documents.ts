/**
 * Writes the documents that say what the code says: docs/EVENTS.md, docs/FEED.md, docs/ERRORS.md,
 * docs/PERMISSIONS.md, docs/LIMITS.md, docs/CONFIG.md, and the descriptions of the API.
 * `node cli/documents.ts` writes them; a test compares them, so that they cannot grow apart.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asyncApi } from "../gateway/description/asyncapi.ts";
import { openApi } from "../gateway/description/openapi.ts";
import { operations } from "../gateway/http/routes.ts";
import { configMarkdown } from "./config/show-config.ts";
import { errors } from "../schemas/errors.ts";
import { limits } from "../schemas/limits.ts";
import {
  default_rates,
  limit_classes,
  limit_scopes,
  type LimitClass,
  type Rate,
  rateTable,
} from "../schemas/rates.ts";
import { contentFields, eventSchemas, eventTypes, eventVersions } from "../schemas/events.ts";
import { meanings } from "./event-meanings.ts";
import { isAtLeast, permissions, roles } from "../schemas/permissions.ts";
import { publicTypes } from "../schemas/feed-payloads.ts";
import { cloudEventType } from "../schemas/feed.ts";

const docs = join(import.meta.dirname, "../docs");

/** File in `docs/` → what must stand in it. */
export const documents: Readonly<Record<string, () => string>> = {
  "CONFIG.md": configMarkdown,
  "ERRORS.md": errorsMarkdown,
  "EVENTS.md": eventsMarkdown,
  "FEED.md": feedMarkdown,
  "PERMISSIONS.md": permissionsMarkdown,
  "LIMITS.md": limitsMarkdown,
  "asyncapi.json": () => `${JSON.stringify(asyncApi(), null, 2)}\n`,
  "openapi.json": () => `${JSON.stringify(openApi(operations), null, 2)}\n`,
};

export const written = (name: string): string => readFileSync(join(docs, name), "utf8");

function errorsMarkdown(): string {
  const rows = Object.entries(errors).map(([code, { message, status, close, retryable, who }]) =>
    line([
      `\`${code}\``,
      String(status),
      close === null ? "" : String(close),
      retryable ? "yes" : "",
      who,
      message,
    ]),
  );
  return `# Errors

Every failure that a client can see has one of these codes: in \`nack\` and \`error\` frames, as \`code\` of an HTTP problem (RFC 9457), in a failed turn, in a dead letter. The sentence may be replaced by a more exact one; the code stays.

*Again* means that the same request, with the same id, may succeed later. *Who* must act for it to succeed. *Close* is the WebSocket close code when this error ends a socket; 1011 stands for one without a code of its own. In answer to a single frame an error leaves the socket open.

This file is generated from \`schemas/errors.ts\`: \`node cli/documents.ts\`.

${line(["code", "HTTP", "close", "again", "who", "message"])}
${line(["---", "---", "---", "---", "---", "---"])}
${rows.join("\n")}
`;
}

function permissionsMarkdown(): string {
  const rows = Object.entries(permissions).map(([name, { role, scope, what }]) =>
    line([
      `\`${name}\``,
      ...roles.map((one) => (isAtLeast(one, role) ? "yes" : "")),
      scope === null ? "none" : `\`${scope}\``,
      what,
    ]),
  );
  return `# Permissions

What a member of a tenant may do follows from the member's role; a role may do what those before it may. Whoever asks with an API key may do what both the role of its user and the scopes of the key allow; where *key* says none, only a person who is signed in may, since a key must not outlive or widen itself. A role counts as it is now: the workspace itself looks at it again when a member asks it for something, and a token that says another role is refused as soon as the change is in the log.

Beside this table: a conversation is its owner's and theirs whom it is shared with; an API key is its user's; only owners make owners, and change or remove one; a workspace with members keeps an owner; everybody may leave. An integration, which has no user, may do nothing with accounts, members, invitations and keys.

This file is generated from \`schemas/permissions.ts\`: \`node cli/documents.ts\`.

${line(["permission", ...roles, "key", ""])}
${line(["---", ...roles.map(() => "---"), "---", "---"])}
${rows.join("\n")}
`;
}

/** What each class of requests is. */
const classes: Readonly<Record<LimitClass, string>> = {
  command: "Whatever changes something, over HTTP",
  "ws-command": "`send`, `edit`, `regenerate` over WebSocket",
  cancel: "`cancel`, by either way",
  subscribe: "`subscribe`, `watch`, `auth`",
  connect: "WebSocket handshakes (counted by each gateway for itself)",
  read: "Reads over HTTP",
  "sign-in": "Sign-ins, registrations, refreshes",
  refused: "Credentials that are wrong or missing (counted by each gateway for itself)",
};

const count = (number: number): string => number.toLocaleString("en");

function limitsMarkdown(): string {
  const table = rateTable(default_rates);
  const shown = (rate: Rate | null): string => {
    if (rate === null) return "–";
    const { kind, limit, period_ms } = rate;
    return `${count(limit)} in ${period_ms / 1000} s${kind === "bucket" ? ", refilled" : ""}`;
  };
  const rows = limit_classes.map((cls) =>
    line([classes[cls], ...limit_scopes.map((scope) => shown(table[cls][scope]))]),
  );
  return `# Rate limits

What each is allowed by default; [CONFIG.md](CONFIG.md) has the keys that change it, [OPERATING.md](OPERATING.md) says how it is counted.

This file is generated from \`schemas/rates.ts\`: \`node cli/documents.ts\`.

${line(["what", "of a user", "of an API key", "of a tenant", "of an account", "of an account from an IP address", "from an IP address"])}
${line(["---", "---", "---", "---", "---", "---", "---"])}
${rows.join("\n")}

A number is a true sliding window: at most so many in any stretch of that length. *Refilled* is a token bucket: a burst of so many, filled again evenly within that time. All commands of a tenant are one count. An API key is counted in the place of its user. An IPv6 address counts as its /64. Open WebSockets, and answers that stream over HTTP: ${count(default_rates.connectionsPerUser)} of a user, ${count(default_rates.connectionsPerIp)} from an IP address. Frames of one WebSocket: ${count(limits.frames_per_socket_max)} in ${limits.frames_window_ms / 1000} s, refused ones too, or as many as commands are allowed in 60 s; past that it is closed (1008, \`flooding\`). Connections that only speak HTTP are not counted: the native server says who comes, and does not say who goes. One that is idle ends after 10 s; bound them by address at the balancer.

Behind that: ${count(limits.commands_in_flight_per_tenant_max)} unanswered commands of a tenant at a gateway (\`overloaded\`) and, whichever way a command came, ${count(limits.turns_running_per_tenant_max)} turns of a tenant that a worker runs at once (\`tenant_busy\`), ${count(limits.turns_running_per_partition_max + limits.turns_queued_per_partition_max)} turns that run or wait in a partition (\`overloaded\`), ${count(limits.turns_queued_per_conversation_max)} that wait in a conversation (\`queue_full\`). Embeddings: ${count(limits.embeddings_running_per_tenant_max)} of a tenant at once.

Commands that an integration publishes to NATS pass no gateway and are counted by nobody: the limits of workers are all that holds them. A partition takes its commands in the order in which they came, so an integration that publishes faster than workers answer keeps others in the same partitions waiting. Give it no more than it needs, and prefer the HTTP API for whoever is not trusted with that.
`;
}

function eventsMarkdown(): string {
  const sections = eventTypes.map((type) => {
    const table = fieldsOf(eventSchemas[type], contentFields[type]);
    return `### ${type}\n\n${meanings[type]}\n\nVersion ${eventVersions[type]}.\n\n${table}`;
  });
  return `${preface}\n${sections.join("\n\n")}\n`;
}

/** The table of an object's fields. */
function fieldsOf(schema: object, content: object = {}): string {
  // TypeBox's schemas are JSON Schema.
  const { properties = {}, required } = JSON.parse(JSON.stringify(schema)) as Shape;
  const rows = Object.entries(properties).map(([name, field]) => {
    const notes = [
      Object.hasOwn(content, name) ? "content" : "",
      required?.includes(name) === true ? "" : "optional",
      field.description ?? "",
    ];
    return line(["`" + name + "`", typeOf(field), notes.filter((note) => note !== "").join("; ")]);
  });
  if (rows.length === 0) return "No fields.";
  return [line(["field", "type", ""]), line(["---", "---", "---"]), ...rows].join("\n");
}

function feedMarkdown(): string {
  const sections = publicTypes.map((row) => {
    const subject = `\`feed.<tenant>.${row.type}.<id>\``;
    const where = `\`${cloudEventType(row)}\` on ${subject}.`;
    return `### ${row.type}\n\n${row.says}\n\n${where}\n\n${fieldsOf(row.payload)}`;
  });
  return `# The feed

What integrations and webhooks are told ([INTEGRATIONS.md](INTEGRATIONS.md)): one [CloudEvent 1.0](https://cloudevents.io) per public event, as structured JSON, in the order of the log, kept for seven days in the stream \`FEED\`. Each event is there exactly once; a reader may be given it more than once, with the same \`id\`.

\`\`\`json
{
  "specversion": "1.0",
  "id": "<actor id>:<revision>",
  "source": "/tenants/acme",
  "type": "colloquy.turn.completed.v1",
  "subject": "conversation/<uuid>",
  "time": "2026-11-21T05:00:00.000Z",
  "datacontenttype": "application/json",
  "dataschema": "urn:colloquy:feed:turn.completed:v1",
  "sequence": "0000000000000812",
  "data": {
    "timestamp": "2026-11-21T05:00:00.000Z",
    "tenant_id": "acme",
    "user_id": "ann",
    "event_type": "turn.completed",
    "payload": {}
  }
}
\`\`\`

- \`sequence\` is where it stands in the log, and orders as text; the events of one decision share it, and their \`id\`s end in rising numbers.
- \`user_id\` is who did it; of what the system did, whose conversation it is. It is null when an integration did it, or nobody.
- \`traceparent\` is there when the command that caused it carried one.
- A shape only grows by optional fields. Anything else is a new type, \`….v2\`, told beside the old one for a while.
- Texts are told: they are the tenant's own. Secrets never are. Once a conversation is deleted, the feed holds nothing of it but \`conversation.deleted\`; what is told late of it has empty texts.

## The types

This file is generated from \`schemas/feed-payloads.ts\` and \`schemas/feed.ts\`: \`node cli/documents.ts\`.

${sections.join("\n\n")}
`;
}

/** What of a JSON Schema is shown. */
interface Schema {
  readonly type?: string;
  readonly const?: string | number | boolean;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly pattern?: string;
  readonly description?: string;
  readonly minimum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
}
interface Shape {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(" or ");
  if (schema.enum !== undefined) return "text";
  if (schema.type === "array") return `list of ${typeOf(schema.items ?? {})}`;
  if (schema.type === "object") {
    const fields = Object.entries(schema.properties ?? {});
    return `{ ${fields.map(([name, field]) => `${name}: ${typeOf(field)}`).join(", ")} }`;
  }
  if (schema.type === "string") return schema.pattern?.startsWith("^[0-9a-f]{8}") ? "uuid" : "text";
  const least = schema.minimum === undefined ? "" : ` ≥ ${schema.minimum}`;
  return `${schema.type ?? "anything"}${least}`;
}

/** A row of a table; a bar in a cell would end it. */
const line = (cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

const preface = `# Events

What happened to a conversation is its events, and nothing else: its state, its read models and what a client is shown are all made of them. A tenant's workspace has its own, and so has every account; accounts lie in the tenant \`accounts\`, to which nobody belongs. They lie in the stream \`EVENTS\`, on one subject per actor, \`evt.<tenant>.<kind>.<id>\`, and are never changed or removed.

## The commit

One decision is one message, so that a reader never sees half of one:

\`\`\`json
{
  "v": 1, "commit": "<uuid>", "tenant": "acme", "kind": "conversation", "id": "<uuid>",
  "revision": 12, "command": "<the id of the command>",
  "by": { "type": "user", "id": "ann" }, "at": "2026-11-21T05:00:00.000Z",
  "prev": "<SHA-256 of the bytes of the commit before, hex; 64 zeros for the first>",
  "events": [{ "type": "message.added", "v": 1, "data": {} }],
  "sealed": "<base64>"
}
\`\`\`

- \`revision\` is the number of its first event. An actor's events are numbered 1, 2, 3 … without a gap; an event's id is \`<actor id>:<revision>\`.
- \`prev\` makes the commits of an actor a chain: nothing in it can be changed, left out or added without breaking every hash behind it. It is over the stored bytes, so a chain also verifies when its content has been erased.
- \`by\` is a \`user\`, an \`integration\` (a NATS client of that tenant) or \`system\` (a worker, for what an answer reports of itself, or the operator's command line).
- The header \`Nats-Msg-Id\` is the commit's id; \`traceparent\` is that of the command.

## Content is sealed

Fields marked *content* below are not in \`data\`. They are in \`sealed\`: base64 of nonce (12 bytes), ciphertext and tag (16 bytes) of AES-256-GCM over \`{"<index of the event>": {"<field>": …}}\`, with \`<tenant>.<kind>.<id>:<commit>\` as additional data, under a key of this one actor. The keys lie in the bucket \`KEYS\`, wrapped by \`COLLOQUY_MASTER_KEY\`. Deleting a conversation erases its key; its structure, usage and cost stay, its words are gone from the log and from every copy of it, and read models are rebuilt equal.

## Versions

A change of an event's shape raises its version and adds an upcaster in \`schemas/upcasters.ts\`, a pure function from one version to the next that runs when a commit is read. \`test/schemas/events/\` keeps one event of every version that was ever written. An event type or version that the running code does not know is never guessed: its actor is parked.

## The types

\`frames\` records the frames of an answer: \`lengths\` in UTF-16 units, \`times\` in ms, each since the frame before, the first since the attempt began. So the log alone can cut the text into its frames again.

This file is generated from \`schemas/events.ts\`: \`node cli/documents.ts\`.
`;

if (import.meta.main) {
  for (const [name, make] of Object.entries(documents)) writeFileSync(join(docs, name), make());
}
