/** Chats of the Vercel AI SDK, as operations of the HTTP API. */
import { ChatRequest, ForeignId, ResumeQuery, UiMessage } from "../../schemas/ai-sdk.ts";
import { Accepted, pageOf } from "../../schemas/http.ts";
import { limits } from "../../schemas/limits.ts";
import { PageQuery } from "../../schemas/parameters.ts";
import { type Operation, operation, taken } from "../http/operation.ts";
import { send_refusals } from "../turns/send-refusals.ts";
import { cancelChat, listChat, postChat, resumeChat } from "./chat-api.ts";

const base = "/api/v1/ai/chat";
/** A chat's name: a UUID is the conversation's own, of another the conversation's is made. */
const params = { chat: ForeignId };

export const operations: readonly Operation[] = [
  operation({
    id: "postChat",
    method: "POST",
    path: base,
    summary: "Answers the last message of a chat of the AI SDK, as a UI message stream.",
    tag: "agents",
    access: "conversations.write",
    limit: "command",
    body: ChatRequest,
    body_bytes_max: limits.chat_body_bytes_max,
    answers: { 200: "stream" },
    refuses: send_refusals,
    async run(call, exchange) {
      await postChat(call, exchange);
      return taken;
    },
  }),
  operation({
    id: "resumeChat",
    method: "GET",
    path: `${base}/{chat}/stream`,
    summary: "The answer that is being written, from its beginning; 204 when none is.",
    tag: "agents",
    access: "conversations.read",
    limit: "read",
    params,
    query: ResumeQuery,
    answers: { 200: "stream", 204: null },
    async run(call, exchange) {
      await resumeChat(call, exchange, call.param("chat"));
      return taken;
    },
  }),
  operation({
    id: "listChatMessages",
    method: "GET",
    path: `${base}/{chat}/messages`,
    summary: "What a page of the AI SDK begins with, without the answer that is being written.",
    tag: "agents",
    access: "conversations.read",
    limit: "read",
    params,
    query: PageQuery,
    answers: { 200: pageOf(UiMessage) },
    refuses: ["bad_cursor", "conversation_deleted", "stale"],
    run: (call) => listChat(call, call.param("chat")),
  }),
  operation({
    id: "cancelChat",
    method: "POST",
    path: `${base}/{chat}/cancel`,
    summary: "Ends the answer that is being written; an aborted request only detaches.",
    tag: "agents",
    access: "conversations.write",
    limit: "command",
    params,
    answers: { 202: Accepted },
    refuses: ["conversation_deleted"],
    run: (call) => cancelChat(call, call.param("chat")),
  }),
];
