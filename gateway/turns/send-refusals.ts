/** What a message that asks for an answer can be refused with, by whatever format it comes. */
import type { ErrorCode } from "../../schemas/errors.ts";

export const send_refusals = [
  "model_not_found",
  "id_taken",
  "turn_running",
  "queue_full",
  "conversation_archived",
  "conversation_deleted",
  "conversation_full",
  "text_too_long",
  "content_disallowed",
  "overloaded",
  "tenant_busy",
] as const satisfies readonly ErrorCode[];
