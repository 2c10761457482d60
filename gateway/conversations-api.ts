/**
 * The conversations of the HTTP API: bodies and parameters are checked here, commands go the same
 * way as those of a socket, reads come from the read models and wait for what this gateway or the
 * caller has already seen.
 */
import { createHash } from "node:crypto";
import { type CommandName, parseCommand, type PublicCommandName } from "../schemas/commands.ts";
import type { Commit } from "../schemas/commit.ts";
import { AppError } from "../schemas/errors.ts";
import { createConversation, postMessage } from "../schemas/http.ts";
import type { Accepted, Conversation, Message, Page } from "../schemas/http.ts";
import { type ActorRef, isUuid } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Parsed } from "../schemas/validate.ts";
import { type Call, limitOf, oneOf, type Shown } from "./call.ts";
import type { Outcome } from "./commands.ts";
import { command, conversationRef } from "./service.ts";

type Done = Extract<Outcome, { ok: true }>;

function must<T>(parsed: Parsed<T>): T {
  if (parsed.ok) return parsed.value;
  throw new AppError("bad_request", parsed.problem);
}

/** A UUID (version 8) made of what must be the same for the same id to come out. */
function derivedId(...parts: readonly string[]): string {
  const hex = createHash("sha256").update(parts.join("\n")).digest("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The command's id: the body's, else the `Idempotency-Key`'s own or made of it, else a new one. */
function commandId(call: Call, scope: string, wished?: string): string {
  if (wished !== undefined) return wished;
  const { idempotencyKey: key, who } = call;
  if (key === null) return call.service.ports.ids();
  return isUuid(key) ? key : derivedId(who.tenant, who.user, scope, key);
}

async function run(
  call: Call,
  ref: ActorRef,
  name: PublicCommandName,
  id: string,
  data: unknown,
): Promise<Done> {
  const text = typeof data === "object" && data !== null && "text" in data ? data.text : "";
  if (typeof text === "string" && text.length > limits.text_chars_max) {
    throw new AppError("text_too_long");
  }
  const parsed = parseCommand(name, data);
  if (!parsed.ok) throw new AppError("bad_request", parsed.problem);
  const request = { ref, name: name satisfies CommandName, id, data: parsed.command.data };
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    command(call.service, call.who, request, resolve, call.traceparent).catch(reject);
  });
  if (outcome.ok) return outcome;
  throw new AppError(outcome.error.code, outcome.error.message);
}

/** The answer that a commit begins, or, for a `cancel`, the first one that it ends. */
function answerOf(commit: Commit, name: "cancel" | "regenerate"): string | null {
  for (const { type, data } of commit.events) {
    if (name === "cancel") {
      if (type === "turn.cancelled") return data.message;
    } else if (type === "turn.started" || type === "turn.queued") return data.message;
  }
  return null;
}

export async function createOne(call: Call): Promise<Shown<Conversation>> {
  const { id: wished, ...data } = must(createConversation.parse(call.body ?? {}));
  const { idempotencyKey: key, who, service } = call;
  const id =
    wished ??
    (key === null ? service.ports.ids() : derivedId(who.tenant, who.user, "conversation", key));
  const ref = conversationRef(who, id);
  const done = await run(call, ref, "create", commandId(call, `create ${id}`), data);
  return readAt(call, ref, done.sequence);
}

export async function listAll(call: Call): Promise<Page<Conversation>> {
  const { query, who, min_seq, service } = call;
  const status = oneOf(query, "status", ["active", "archived"] as const);
  const origin = oneOf(query, "origin", ["chat", "api"] as const);
  const cursor = query.get("cursor");
  return service.ports.queries.conversations({
    tenant: who.tenant,
    owner: who.user,
    limit: limitOf(query),
    ...(status === null ? {} : { status }),
    ...(origin === null ? {} : { origin }),
    ...(cursor === null ? {} : { cursor }),
    ...(min_seq === 0 ? {} : { minSeq: min_seq }),
  });
}

/** One conversation as the read model has it, once it has what was acked or pushed here. */
export async function readOne(call: Call, id: string): Promise<Shown<Conversation>> {
  const ref = conversationRef(call.who, id);
  if ((await call.service.owners.access(ref, call.who)) !== "granted") {
    throw new AppError("not_found");
  }
  return readAt(call, ref, Math.max(call.min_seq, call.service.sequences.of(ref)));
}

async function readAt(call: Call, ref: ActorRef, sequence: number): Promise<Shown<Conversation>> {
  const { queries, log } = call.service.ports;
  let seen = sequence;
  let row = await queries.conversation(ref.tenant, ref.id, seen || undefined);
  if (row === null) {
    const last = await log.last(ref);
    if (last === null) throw new AppError("not_found");
    seen = Math.max(seen, last.sequence);
    row = await queries.conversation(ref.tenant, ref.id, seen);
  }
  if (row === null) throw new AppError("not_found");
  if (row.status === "deleted") throw new AppError("conversation_deleted");
  return { value: row, sequence: seen };
}

export async function listMessages(call: Call, id: string): Promise<Shown<Page<Message>>> {
  const { sequence } = await readOne(call, id);
  const cursor = call.query.get("cursor");
  const value = await call.service.ports.queries.messages({
    tenant: call.who.tenant,
    conversation: id,
    all: call.query.get("all") === "true",
    limit: limitOf(call.query),
    ...(cursor === null ? {} : { cursor }),
    ...(sequence === 0 ? {} : { minSeq: sequence }),
  });
  return { value, sequence };
}

export async function patchOne(call: Call, id: string): Promise<Shown<Conversation>> {
  const ref = conversationRef(call.who, id);
  const done = await run(call, ref, "update", commandId(call, `update ${id}`), call.body);
  return readAt(call, ref, done.sequence);
}

export async function deleteOne(call: Call, id: string): Promise<Shown<null>> {
  const ref = conversationRef(call.who, id);
  const done = await run(call, ref, "delete", commandId(call, `delete ${id}`), {});
  return { value: null, sequence: done.sequence };
}

export async function postOne(call: Call, id: string): Promise<Shown<Accepted>> {
  const text = call.body !== null && typeof call.body === "object" && "text" in call.body;
  if (text && typeof call.body.text === "string" && call.body.text.length > limits.text_chars_max) {
    throw new AppError("text_too_long");
  }
  const { id: wished, ...data } = must(postMessage.parse(call.body));
  const message = commandId(call, `send ${id}`, wished);
  const done = await run(call, conversationRef(call.who, id), "send", message, data);
  return accepted(id, message, done);
}

/** `cancel`, `regenerate` and `edit`; the last two name `message` in the path. */
export async function act(
  call: Call,
  id: string,
  name: "cancel" | "regenerate" | "edit",
  message: string | null,
): Promise<Shown<Accepted>> {
  const body = typeof call.body === "object" && call.body !== null ? call.body : {};
  const { id: wished, ...rest } = body as { id?: unknown } & object; // any object may have an id
  if (wished !== undefined && !isUuid(wished))
    throw new AppError("bad_request", "id must be a UUID");
  const data = message === null ? rest : { ...rest, message };
  const command_id = commandId(call, `${name} ${id} ${message ?? ""}`, wished);
  const done = await run(call, conversationRef(call.who, id), name, command_id, data);
  if (name === "edit") return accepted(id, command_id, done);
  const commit = done.commit ?? (await call.service.ports.log.at(done.sequence));
  const answer = commit?.command === command_id ? answerOf(commit, name) : null;
  return accepted(id, answer, done);
}

const accepted = (conversation: string, message: string | null, done: Done): Shown<Accepted> => ({
  value: { message, conversation, revision: done.revision, seq: done.sequence },
  sequence: done.sequence,
});
