/** A `useChat` without a page: the SDK's own `Chat` and transport, against a gateway. */
import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport, type UIMessage } from "ai";
import type { UiMetadata } from "../../schemas/ai-sdk.ts";
import { pulse } from "../support/pulse.ts";

export type ChatMessage = UIMessage<UiMetadata>;

export interface Talk {
  readonly chat: Chat<ChatMessage>;
  /** Errors that an application would be told. */
  readonly errors: readonly string[];
  /** Resolves once what the chat shows holds. */
  until(holds: (chat: Chat<ChatMessage>) => boolean): Promise<void>;
}

export const textOf = (message: ChatMessage | undefined): string =>
  (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");

export function useChat(options: {
  readonly url: string;
  readonly token: string;
  readonly id?: string;
  readonly messages?: ChatMessage[];
  readonly fetch?: typeof fetch;
}): Talk {
  const { url, token, id, messages, fetch } = options;
  const errors: string[] = [];
  const news = pulse();
  const chat = new Chat<ChatMessage>({
    ...(id === undefined ? {} : { id }),
    ...(messages === undefined ? {} : { messages }),
    transport: new DefaultChatTransport({
      api: `${url}/api/v1/ai/chat`,
      headers: { Authorization: `Bearer ${token}` },
      ...(fetch === undefined ? {} : { fetch }),
    }),
    onError: ({ message }) => errors.push(message),
  });
  chat["~registerMessagesCallback"](() => news.beat());
  chat["~registerStatusCallback"](() => news.beat());
  return { chat, errors, until: (holds) => news.until(() => holds(chat)) };
}
