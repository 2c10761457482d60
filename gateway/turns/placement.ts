/**
 * Where a front end's question belongs in the conversation. Such clients keep a list of messages of
 * their own and send it whole; the history is the log's, so of that list only the last user message
 * is taken, and what stands before it says behind which answer it belongs: whoever edits an old
 * message or asks for another answer gets the branch that he sees (useChat, AG-UI).
 */
import { AppError } from "../../schemas/errors.ts";
import type { Overlap } from "../../schemas/events/fields.ts";
import type { Message } from "../../schemas/http.ts";
import { type ActorRef, isUuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Call } from "../http/call.ts";
import { type Done, run } from "../http/asking.ts";
import { start_position } from "../live/cursor.ts";
import type { Wanted } from "./turn-stream.ts";

/** One turn, from its beginning. */
export type WantedTurn = Wanted & { readonly turn: string };

/** What a question may ask for beside its text. */
export interface Wishes {
  readonly model?: string;
  readonly overlap?: Overlap;
}

/** One message of a client's list. */
export interface Listed {
  readonly id: string | null;
  readonly role: string;
  readonly text: string;
}

/** The last user message of a client's list. */
export interface Question {
  readonly id: string | null;
  readonly text: string;
  /** The answer before it; null when it is the first of the list, undefined when that is unknown. */
  readonly behind: string | null | undefined;
}

/** Answers behind the question are those that it got before. Throws `bad_request`. */
export function questionOf(list: readonly Listed[]): Question {
  const at = list.findLastIndex(({ role }) => role === "user");
  const asked = list[at];
  if (asked === undefined || list.slice(at + 1).some(({ role }) => role !== "assistant")) {
    throw new AppError("bad_request", "The last message must be the user's.");
  }
  if (asked.text === "") throw new AppError("bad_request", "The last user message has no text.");
  if (asked.text.length > limits.text_chars_max) throw new AppError("text_too_long");
  const before = list.slice(0, at).findLast(({ role }) => role === "user" || role === "assistant");
  const answer = before?.role === "assistant" && isUuid(before.id) ? before.id : undefined;
  return { id: asked.id, text: asked.text, behind: before === undefined ? null : answer };
}

/** A question that the conversation has, and the answer that it got there, if any. */
export interface Found {
  readonly user: Message;
  readonly answer: Message | null;
}

/** The last place of the path to the head that `is` says it is; reads page by page (I11). */
export async function findOnPath(
  call: Call,
  ref: ActorRef,
  is: (user: Message, answer: Message | null) => boolean,
): Promise<Found | null> {
  const sequence = Math.max(call.min_seq, call.service.sequences.of(ref));
  let found: Found | null = null;
  let user: Message | null = null;
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof call.service.ports.queries.messages>> =
      await call.service.ports.queries.messages({
        ...{ tenant: ref.tenant, conversation: ref.id, all: false, limit: limits.page_max },
        ...(cursor === null ? {} : { cursor }),
        ...(sequence === 0 ? {} : { minSeq: sequence }),
      });
    for (const message of page.items) {
      if (message.role === "assistant" && user !== null) {
        if (is(user, message)) found = { user, answer: message };
        user = null;
      } else {
        if (user !== null && is(user, null)) found = { user, answer: null };
        user = message.role === "user" ? message : null;
      }
    }
    cursor = page.next;
  } while (cursor !== null);
  return user !== null && is(user, null) ? { user, answer: null } : found;
}

/** Sends the question behind the answer that its client saw; behind the head when that is unknown. */
export async function ask(
  call: Call,
  ref: ActorRef,
  id: string,
  { text, behind }: Question,
  wishes: Wishes,
): Promise<WantedTurn> {
  const send = (parent: string | null | undefined): Promise<Done> =>
    run(call, ref, "send", id, { text, ...wishes, ...(parent === undefined ? {} : { parent }) });
  const done = await send(behind).catch((error: unknown) => {
    // A greeting that the page wrote itself, or a history from elsewhere.
    const unknown = error instanceof AppError && error.code === "message_not_found";
    if (unknown && behind !== undefined) return send(undefined);
    throw error;
  });
  return begunBy(call, done, id);
}

/**
 * Another answer to what `answer` answers; while that one is still being written, itself: whoever
 * lost its stream asks so, and a second answer would cost again. Naming an `overlap` asks for another
 * one all the same.
 */
export async function askAgain(
  call: Call,
  ref: ActorRef,
  id: string,
  answer: Pick<Message, "id"> & Partial<Message>,
  wishes: Wishes,
): Promise<WantedTurn> {
  const { turn, revision, status } = answer;
  const running = status === "queued" || status === "generating";
  if (running && wishes.overlap === undefined && typeof turn === "string" && revision) {
    return turnFrom(turn, revision);
  }
  const done = await run(call, ref, "regenerate", id, { message: answer.id, ...wishes });
  return begunBy(call, done, id);
}

/** The turn that the event of this number has begun. */
export const turnFrom = (turn: string, revision: number): WantedTurn => ({
  ...{ from: { ...start_position, revision: revision - 1 }, turn, begun: revision },
});

/** The turn that this command has begun, or lets wait. */
async function begunBy(call: Call, done: Done, command: string): Promise<WantedTurn> {
  const commit = done.commit ?? (await call.service.ports.log.at(done.sequence));
  for (const [index, { type, data }] of (commit?.events ?? []).entries()) {
    if (commit?.command !== command) break;
    if (type === "turn.queued" || type === "turn.started") {
      return turnFrom(data.turn, commit.revision + index);
    }
  }
  throw new AppError("id_taken");
}
