/**
 * The conversations of the HTTP API: bodies and parameters are checked here, commands go the same
 * way as those of a socket, reads come from the read models and wait for what this gateway or the
 * caller has already seen.
 */
import type { Commit } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import {
  Accepted,
  CancelTurn,
  Conversation,
  CreateConversation,
  EditMessage,
  Message,
  type Page,
  pageOf,
  PostMessage,
  RegenerateAnswer,
  type StoredConversation,
  UpdateConversation,
} from "../../schemas/http.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { ConversationsQuery, MessagesQuery } from "../../schemas/parameters.ts";
import type { Access } from "../../schemas/sharing.ts";
import type { Of } from "../../schemas/validate.ts";
import { commandId, derivedId, type Done, run, send } from "../http/asking.ts";
import { type Call, limitOf, oneOf, type Shown } from "../http/call.ts";
import { asksForStream, streamMessages, streamPost } from "../turns/messages-stream.ts";
import { send_refusals } from "../turns/send-refusals.ts";
import { onlyAt, revisionTag } from "../http/conditions.ts";
import { type Operation, operation } from "../http/operation.ts";
import { conversationRef } from "../service.ts";

const base = "/api/v1/conversations";
/** What the requirements call the same list. */
const history = "/api/v1/chat/history";

/** The answer that a commit begins, or, for a `cancel`, the first one that it ends. */
function answerOf(commit: Commit, name: "cancel" | "regenerate"): string | null {
  for (const { type, data } of commit.events) {
    if (name === "cancel") {
      if (type === "turn.cancelled") return data.message;
    } else if (type === "turn.started" || type === "turn.queued") return data.message;
  }
  return null;
}

async function createOne(call: Call<Of<typeof CreateConversation>>): Promise<Shown<Conversation>> {
  const { id: wished, ...data } = call.body;
  const { idempotencyKey: key, who, service } = call;
  const id =
    wished ??
    (key === null ? service.ports.ids() : derivedId(who.tenant, who.user, "conversation", key));
  const ref = conversationRef(who, id);
  const done = await run(call, ref, "create", commandId(call, `create ${id}`), data);
  const shown = await readAt(call, ref, done.sequence);
  return { ...shown, headers: { ...shown.headers, Location: `${base}/${id}` } };
}

async function listAll(call: Call): Promise<Shown<Page<Conversation>>> {
  const { query, who, min_seq, service } = call;
  const status = oneOf(query, "status", ["active", "archived"] as const);
  const origin = oneOf(query, "origin", ["chat", "api"] as const);
  const shared = oneOf(query, "shared", ["true", "false"] as const);
  const cursor = query.get("cursor");
  const value = await service.ports.queries.conversations({
    tenant: who.tenant,
    user: who.user,
    ...(shared === null ? {} : { shared: shared === "true" }),
    limit: limitOf(query),
    ...(status === null ? {} : { status }),
    ...(origin === null ? {} : { origin }),
    ...(cursor === null ? {} : { cursor }),
    ...(min_seq === 0 ? {} : { minSeq: min_seq }),
  });
  return { value, sequence: min_seq };
}

/** One conversation as the read model has it, once it has what was acked or pushed here. */
function readOne(call: Call, id: string): Promise<Shown<Conversation>> {
  const ref = conversationRef(call.who, id);
  return readAt(call, ref, knownOf(call, ref));
}

/** What was acked or pushed of it here, or seen by the caller. */
const knownOf = (call: Call, ref: ActorRef): number =>
  Math.max(call.min_seq, call.service.sequences.of(ref));

/**
 * What the caller may do with it, and what `look` finds of it at a sequence. What is not there yet is
 * looked for where the log ends. Throws `not_found`, `conversation_deleted`.
 */
async function lookAt<T extends { readonly conversation: StoredConversation | null }>(
  call: Call,
  ref: ActorRef,
  sequence: number,
  look: (access: Access, minSeq: number | undefined) => Promise<T>,
) {
  const { log } = call.service.ports;
  const access = await call.service.owners.accessOf(ref, call.who);
  if (access === null) throw new AppError("not_found");
  let seen = sequence;
  let found = await look(access, seen || undefined);
  if (found.conversation === null) {
    const last = await log.last(ref);
    if (last === null) throw new AppError("not_found");
    seen = Math.max(seen, last.sequence);
    found = await look(access, seen);
  }
  const { conversation } = found;
  if (conversation === null) throw new AppError("not_found");
  if (conversation.status === "deleted") throw new AppError("conversation_deleted");
  return { ...found, conversation, access, seen };
}

async function readAt(call: Call, ref: ActorRef, sequence: number): Promise<Shown<Conversation>> {
  const { queries } = call.service.ports;
  const { tenant, id } = ref;
  const found = await lookAt(call, ref, sequence, async (may, minSeq) =>
    may === "owner"
      ? queries.conversationAndShares(tenant, id, minSeq)
      : { conversation: await queries.conversation(tenant, id, minSeq), shares: null },
  );
  const { conversation: row, access, shares } = found;
  const headers = { ETag: revisionTag(row.revision) };
  const value = { ...row, access, shares: shares && [...shares] };
  return { value, sequence: found.seen, headers };
}

/** A page of messages. Throws `not_found`, `bad_cursor`. */
export async function listMessages(call: Call, id: string): Promise<Shown<Page<Message>>> {
  const ref = conversationRef(call.who, id);
  const cursor = call.query.get("cursor");
  const page = {
    ...{ tenant: ref.tenant, conversation: id, reader: call.who.user },
    all: call.query.get("all") === "true",
    limit: limitOf(call.query),
    ...(cursor === null ? {} : { cursor }),
  };
  const { messages, seen } = await lookAt(call, ref, knownOf(call, ref), (_, minSeq) =>
    call.service.ports.queries.conversationAndMessages({
      ...page,
      ...(minSeq === undefined ? {} : { minSeq }),
    }),
  );
  return { value: messages, sequence: seen };
}

async function patchOne(
  call: Call<Of<typeof UpdateConversation>>,
  id: string,
  only: { readonly ifRevision?: number },
): Promise<Shown<Conversation>> {
  const ref = conversationRef(call.who, id);
  const data = { ...call.body, ...only };
  const done = await run(call, ref, "update", commandId(call, `update ${id}`), data);
  return readAt(call, ref, done.sequence);
}

async function deleteOne(
  call: Call,
  id: string,
  only: { readonly ifRevision?: number },
): Promise<Shown<null>> {
  const ref = conversationRef(call.who, id);
  const done = await run(call, ref, "delete", commandId(call, `delete ${id}`), only);
  return { value: null, sequence: done.sequence };
}

async function postOne(call: Call<Of<typeof PostMessage>>, id: string): Promise<Shown<Accepted>> {
  const { message, done } = await send(call, id);
  return accepted(id, message, done);
}

/** `cancel`, `regenerate` and `edit`; the last two name `message` in the path. */
export async function act(
  call: Call<{ readonly id?: string }>,
  id: string,
  name: "cancel" | "regenerate" | "edit",
  message: string | null,
): Promise<Shown<Accepted>> {
  const { id: wished, ...rest } = call.body;
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

/** The list, at its own address and at an older one. */
const listing = (id: string, path: `/${string}`): Operation =>
  operation({
    ...{ id, path, method: "GET" },
    summary: "The caller's conversations and those shared with the caller, the last changed first.",
    tag: "conversations",
    access: "conversations.read",
    limit: "read",
    query: ConversationsQuery,
    answers: { 200: pageOf(Conversation) },
    refuses: ["bad_cursor", "stale"],
    run: (call) => listAll(call),
  });
const deleting = (id: string, path: `/${string}`): Operation =>
  operation({
    ...{ id, path, method: "DELETE" },
    summary: "Deletes it and erases what was written in it.",
    tag: "conversations",
    access: "conversations.write",
    limit: "command",
    answers: { 204: null },
    refuses: ["precondition_failed"],
    run: (call, exchange) => deleteOne(call, call.param("id"), onlyAt(exchange)),
  });

export const operations: readonly Operation[] = [
  operation({
    id: "createConversation",
    method: "POST",
    path: base,
    summary: "Begins a conversation; it exists when this answers.",
    tag: "conversations",
    access: "conversations.write",
    limit: "command",
    body: CreateConversation,
    answers: { 201: Conversation },
    refuses: ["model_not_found", "id_taken", "conversation_deleted", "stale"],
    run: (call) => createOne(call),
  }),
  listing("listConversations", base),
  listing("listChatHistory", history),
  operation({
    id: "readConversation",
    method: "GET",
    path: `${base}/{id}`,
    summary: "One conversation.",
    tag: "conversations",
    access: "conversations.read",
    limit: "read",
    answers: { 200: Conversation },
    refuses: ["conversation_deleted", "stale"],
    run: (call) => readOne(call, call.param("id")),
  }),
  operation({
    id: "updateConversation",
    method: "PATCH",
    path: `${base}/{id}`,
    summary: "Changes its title, model, policy or head, archives it or takes it back.",
    tag: "conversations",
    access: "conversations.write",
    limit: "command",
    body: UpdateConversation,
    answers: { 200: Conversation },
    refuses: [
      "model_not_found",
      "message_not_found",
      "conversation_archived",
      "conversation_deleted",
      "precondition_failed",
      "stale",
    ],
    run: (call, exchange) => patchOne(call, call.param("id"), onlyAt(exchange)),
  }),
  deleting("deleteConversation", `${base}/{id}`),
  deleting("deleteChatHistory", `${history}/{id}`),
  operation({
    id: "listMessages",
    method: "GET",
    path: `${base}/{id}/messages`,
    summary: "Its messages, oldest first: the path to its head, or the whole tree.",
    tag: "messages",
    access: "conversations.read",
    limit: "read",
    query: MessagesQuery,
    answers: { 200: pageOf(Message) },
    refuses: ["bad_cursor", "conversation_deleted", "stale"],
    streams: true,
    run: (call, exchange) =>
      asksForStream(exchange)
        ? streamMessages(call, exchange, call.param("id"))
        : listMessages(call, call.param("id")),
  }),
  operation({
    id: "postMessage",
    method: "POST",
    path: `${base}/{id}/messages`,
    summary: "Sends a message; its answer begins.",
    tag: "messages",
    access: "conversations.write",
    limit: "command",
    body: PostMessage,
    answers: { 202: Accepted },
    refuses: ["message_not_found", "bad_cursor", ...send_refusals],
    streams: true,
    run: (call, exchange) =>
      asksForStream(exchange)
        ? streamPost(call, exchange, call.param("id"))
        : postOne(call, call.param("id")),
  }),
  operation({
    id: "cancelTurn",
    method: "POST",
    path: `${base}/{id}/cancel`,
    summary: "Ends the running answer, or the one that `turn` names.",
    tag: "messages",
    access: "conversations.write",
    limit: "cancel",
    body: CancelTurn,
    answers: { 202: Accepted },
    refuses: ["conversation_deleted"],
    run: (call) => act(call, call.param("id"), "cancel", null),
  }),
  operation({
    id: "regenerateAnswer",
    method: "POST",
    path: `${base}/{id}/messages/{message}/regenerate`,
    summary: "Writes another answer beside the one that `message` names.",
    tag: "messages",
    access: "conversations.write",
    limit: "command",
    body: RegenerateAnswer,
    answers: { 202: Accepted },
    refuses: ["message_not_found", ...send_refusals],
    run: (call) => act(call, call.param("id"), "regenerate", call.param("message")),
  }),
  operation({
    id: "editMessage",
    method: "POST",
    path: `${base}/{id}/messages/{message}/edit`,
    summary: "Writes another text beside a user's message and answers it.",
    tag: "messages",
    access: "conversations.write",
    limit: "command",
    body: EditMessage,
    answers: { 202: Accepted },
    refuses: ["message_not_found", ...send_refusals],
    run: (call) => act(call, call.param("id"), "edit", call.param("message")),
  }),
];
