/**
 * What a `useChat` of the Vercel AI SDK sends (`DefaultChatTransport`) and reads: its request, its
 * messages, and the chunks of its UI message stream, version 1, that we write. The SDK's own types
 * (package `ai`) are the source. A request may carry more than is named here: the SDK sends the whole
 * history with whatever an application put in it, and of that only the question is read.
 */
import Type, { type Static } from "typebox";
import { Overlap, Usage } from "./events/fields.ts";
import { IsoTime, Uuid } from "./ids.ts";
import { limits } from "./limits.ts";

/** The name that a client gave to a chat or a message; a UUID of ours, or anything else. */
export const ForeignId = Type.String({ minLength: 1, maxLength: limits.foreign_id_chars_max });

const UiMessageIn = Type.Object({
  id: Type.Optional(ForeignId),
  role: Type.String(),
  parts: Type.Array(Type.Object({ type: Type.String(), text: Type.Optional(Type.String()) })),
});
export type UiMessageIn = Static<typeof UiMessageIn>;

/** `POST /api/v1/ai/chat`: all messages, or only the last one as `message`. */
export const ChatRequest = Type.Object({
  id: ForeignId,
  messages: Type.Optional(Type.Array(UiMessageIn, { minItems: 1 })),
  message: Type.Optional(UiMessageIn),
  trigger: Type.Optional(
    Type.Union([Type.Literal("submit-message"), Type.Literal("regenerate-message")]),
  ),
  /** The message that is edited, or whose answer is to be another one. */
  messageId: Type.Optional(Type.Union([ForeignId, Type.Null()])),
  model: Type.Optional(Type.String({ minLength: 1, maxLength: limits.model_chars_max })),
  overlap: Type.Optional(Overlap),
});
export type ChatRequest = Static<typeof ChatRequest>;

/** Of a resume. */
export const ResumeQuery = Type.Object({
  last: Type.Optional(
    Type.String({ description: "The last message that the page has whole; empty for none." }),
  ),
});

/** What our messages carry as the SDK's `metadata`; an answer's is complete once it has ended. */
export const UiMetadata = Type.Object({
  conversation: Uuid,
  /** The message before it. */
  parent: Type.Optional(Type.Union([Uuid, Type.Null()])),
  /** The turn of an answer. */
  turn: Type.Optional(Uuid),
  createdAt: Type.Optional(IsoTime),
  model: Type.Optional(Type.String()),
  finish: Type.Optional(Type.Enum(["stop", "length", "cancelled", "failed"])),
  usage: Type.Optional(Usage),
  /** Why it is not whole; `retryable`: another answer, or a resumed stream, may be. */
  error: Type.Optional(
    Type.Object({ code: Type.String(), message: Type.String(), retryable: Type.Boolean() }),
  ),
});
export type UiMetadata = Static<typeof UiMetadata>;

/** A message as the SDK keeps it (`UIMessage`). */
export const UiMessage = Type.Object({
  id: Uuid,
  role: Type.Enum(["user", "assistant", "system"]),
  metadata: UiMetadata,
  parts: Type.Array(
    Type.Object({ type: Type.Literal("text"), text: Type.String(), state: Type.Literal("done") }),
  ),
});
export type UiMessage = Static<typeof UiMessage>;

/** The chunks that we write (`UIMessageChunk`). */
export type UiChunk =
  | { readonly type: "start"; readonly messageId: string; readonly messageMetadata: UiMetadata }
  | { readonly type: "text-start" | "text-end"; readonly id: string }
  | { readonly type: "text-delta"; readonly id: string; readonly delta: string }
  | { readonly type: "message-metadata"; readonly messageMetadata: UiMetadata }
  | {
      readonly type: "finish";
      readonly finishReason: "stop" | "length";
      readonly messageMetadata: UiMetadata;
    }
  | { readonly type: "abort"; readonly reason: string }
  | { readonly type: "error"; readonly errorText: string };
