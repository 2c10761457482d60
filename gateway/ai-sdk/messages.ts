/**
 * The messages of a conversation as a `useChat` begins with them. Answers that are still being
 * written are left out: the SDK takes the last user message as the place where a resumed stream
 * goes on, and that stream brings the answer whole.
 */
import type { UiMessage, UiMetadata } from "../../schemas/ai-sdk.ts";
import { errors } from "../../schemas/errors.ts";
import type { Message } from "../../schemas/http.ts";

const unfinished: ReadonlySet<Message["status"]> = new Set(["queued", "generating"]);

/** None for an answer that has not ended. */
export function uiMessage(message: Message): UiMessage[] {
  if (unfinished.has(message.status)) return [];
  const { id, role, text, conversation, turn, parent, createdAt, model, finish, usage } = message;
  const metadata: UiMetadata = {
    ...{ conversation, parent, createdAt },
    ...(turn === null ? {} : { turn }),
    ...(model === null ? {} : { model }),
    ...(finish === null ? {} : { finish }),
    ...(usage === null ? {} : { usage }),
    ...(message.error === null ? {} : { error: told(message.error) }),
  };
  const parts: UiMessage["parts"] = text === "" ? [] : [{ type: "text", text, state: "done" }];
  return [{ id, role, metadata, parts }];
}

const retryable: ReadonlySet<string> = new Set(
  Object.entries(errors).flatMap(([code, row]) => (row.retryable ? [code] : [])),
);
const told = (error: NonNullable<Message["error"]>): NonNullable<UiMetadata["error"]> => ({
  ...{ code: error.code, message: error.message, retryable: retryable.has(error.code) },
});
