/**
 * What `/chat/stream/{id}` is asked for: the conversation, and of one that goes on the place in the log
 * where the turn was begun, so that no gateway need remember it.
 */
import { isUuid } from "../../schemas/ids.ts";

export interface ChatSession {
  readonly conversation: string;
  /** The EVENTS sequence of the commit that began the turn; null: the conversation's first. */
  readonly sequence: number | null;
}

export const sessionOf = (conversation: string, sequence: number): string =>
  `${conversation}.${sequence}`;

/** Null for what is no session's id. */
export function readSession(text: string): ChatSession | null {
  const [conversation, sequence, ...more] = text.split(".");
  if (!isUuid(conversation) || more.length > 0) return null;
  if (sequence === undefined) return { conversation, sequence: null };
  return /^[1-9]\d{0,14}$/.test(sequence) ? { conversation, sequence: Number(sequence) } : null;
}
