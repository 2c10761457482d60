/**
 * The conversations of the HTTP API: bodies and parameters are checked here, commands go the same
 * way as those of a socket, reads come from the read models and wait for what this gateway or the
 * caller has already seen.
 */
import {
  Conversation,
  CreateConversation,
  type Page,
  pageOf,
  UpdateConversation,
} from "../../schemas/http.ts";
import { ConversationsQuery } from "../../schemas/parameters.ts";
import type { Of } from "../../schemas/validate.ts";
import { commandId, derivedId, run } from "../http/asking.ts";
import { type Call, limitOf, oneOf, type Shown } from "../http/call.ts";
import { onlyAt } from "../http/conditions.ts";
import { type Operation, operation } from "../http/operation.ts";
import { conversationRef } from "../service.ts";
import { knownOf, readAt } from "./conversation-view.ts";

const base = "/api/v1/conversations";
/** What the requirements call the same list. */
const history = "/api/v1/chat/history";

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
];
