/**
 * The older address of a question: `POST /chat` begins what `POST /v1/chat/completions` begins and
 * names it; its frames are read from `/chat/stream/{id}` (gateway/turns/chat-stream.ts).
 */
import { ChatCompletionBody, ChatStarted } from "../../schemas/openai.ts";
import { limits } from "../../schemas/limits.ts";
import { begin } from "../openai/completions.ts";
import { readRequest } from "../openai/request.ts";
import { sessionOf } from "../turns/chat-session.ts";
import { send_refusals } from "../turns/send-refusals.ts";
import { type Operation, operation } from "../http/operation.ts";

const chat = (path: `/${string}`, id: string): Operation =>
  operation({
    id,
    method: "POST",
    path,
    summary: "Asks for an answer, as a completion does, to be read from /chat/stream/{id}.",
    tag: "messages",
    access: "conversations.write",
    limit: "command",
    body: ChatCompletionBody,
    body_bytes_max: limits.request_bytes_max,
    answers: { 202: ChatStarted },
    refuses: ["unsupported_parameter", "not_found", ...send_refusals],
    async run(call) {
      const { asked } = readRequest(call.body);
      const { ref, done } = await begin(call, asked);
      const session = asked.name === "send" ? sessionOf(ref.id, done.sequence) : ref.id;
      return { value: { stream_session_id: session }, sequence: done.sequence };
    },
  });

export const operations: readonly Operation[] = [
  chat("/chat", "startChat"),
  chat("/api/v1/chat", "startChatAlias"),
];
