/**
 * The messages of a conversation over HTTP: listed, sent, and the answers to them ended, written again
 * or asked for in other words. With `Accept: text/event-stream` a turn is streamed in place of its 202.
 */
import type { Commit } from "../../schemas/commit.ts";
import {
  Accepted,
  CancelTurn,
  EditMessage,
  Message,
  type Page,
  pageOf,
  PostMessage,
  RegenerateAnswer,
} from "../../schemas/http.ts";
import { MessagesQuery } from "../../schemas/parameters.ts";
import type { Of } from "../../schemas/validate.ts";
import { commandId, type Done, run, send } from "../http/asking.ts";
import { type Call, limitOf, type Shown } from "../http/call.ts";
import { type Operation, operation } from "../http/operation.ts";
import { conversationRef } from "../service.ts";
import { asksForStream, streamMessages, streamPost } from "../turns/messages-stream.ts";
import { send_refusals } from "../turns/send-refusals.ts";
import { knownOf, lookAt } from "./conversation-view.ts";

const base = "/api/v1/conversations/{id}";

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

/** The answer that a commit begins, or, for a `cancel`, the first one that it ends. */
function answerOf(commit: Commit, name: "cancel" | "regenerate"): string | null {
  for (const { type, data } of commit.events) {
    if (name === "cancel") {
      if (type === "turn.cancelled") return data.message;
    } else if (type === "turn.started" || type === "turn.queued") return data.message;
  }
  return null;
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

export const operations: readonly Operation[] = [
  operation({
    id: "listMessages",
    method: "GET",
    path: `${base}/messages`,
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
    path: `${base}/messages`,
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
    path: `${base}/cancel`,
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
    path: `${base}/messages/{message}/regenerate`,
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
    path: `${base}/messages/{message}/edit`,
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
