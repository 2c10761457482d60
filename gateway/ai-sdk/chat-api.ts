/**
 * Chats of the Vercel AI SDK (`useChat` with its `DefaultChatTransport`, unchanged): a chat is a
 * conversation like any other, in lists and on every device. The SDK aborts its request when a page
 * is left and when `stop()` is called alike, so an abort only detaches; who wants the answer to end
 * asks for it (`cancel`).
 */
import type { ChatRequest, UiMessage, UiMessageIn } from "../../schemas/ai-sdk.ts";
import { AppError } from "../../schemas/errors.ts";
import { isEnding } from "../../schemas/events.ts";
import type { Accepted, Message, Page } from "../../schemas/http.ts";
import { type ActorRef, isUuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Call, Shown } from "../http/call.ts";
import { commandId, derivedId } from "../http/asking.ts";
import { act, listMessages } from "../api/messages-api.ts";
import type { Exchange } from "../http/exchange.ts";
import {
  ask,
  askAgain,
  findOnPath,
  type Listed,
  type Question,
  questionOf,
  turnFrom,
  type WantedTurn,
} from "../turns/placement.ts";
import type { Room } from "../live/room.ts";
import { conversationRef } from "../service.ts";
import { answerTurns } from "../turns/turn-answer.ts";
import { uiEncoder, ui_stream_headers } from "./chunks.ts";
import { uiMessage } from "./messages.ts";

/** The id of a conversation or message that its client calls `names`: a UUID is its own. */
function idOf({ who }: Call, ...names: readonly string[]): string {
  const name = names.at(-1);
  return isUuid(name) ? name : derivedId(who.tenant, who.user, "ai-sdk", ...names);
}

const chatRef = (call: Call, chat: string): ActorRef => conversationRef(call.who, idOf(call, chat));

/** Streams the answer to the last message. Throws what refuses it before it begins. */
export async function postChat(call: Call<ChatRequest>, exchange: Exchange): Promise<void> {
  const { service, who, body } = call;
  const ref = chatRef(call, body.id);
  const access = await service.owners.access(ref, who);
  if (access === "denied") throw new AppError("not_found");
  const wanted = await begin(call, ref, access === "absent");
  await answer(call, exchange, ref, wanted);
}

async function begin(call: Call<ChatRequest>, ref: ActorRef, fresh: boolean): Promise<WantedTurn> {
  const { messages, message, trigger, messageId, model, overlap } = call.body;
  const list = (messages ?? (message === undefined ? [] : [message])).map(listed);
  if (list.at(-1)?.role !== "user") {
    throw new AppError("bad_request", "The last message must be the user's: tools run here.");
  }
  const asked = questionOf(list);
  const question: Question = {
    ...asked,
    id: asked.id === null ? null : idOf(call, call.body.id, asked.id),
    // Of a message that comes alone nobody knows what is before it.
    ...(messages === undefined ? { behind: undefined } : {}),
  };
  const wishes = {
    ...(model === undefined ? {} : { model }),
    ...(overlap === undefined ? {} : { overlap }),
  };
  const again = trigger === "regenerate-message";
  if (!again && (fresh || typeof messageId !== "string")) {
    const id = question.id ?? commandId(call, `send ${ref.id}`);
    return ask(call, ref, id, question, wishes);
  }
  const id = commandId(call, `${trigger ?? "submit-message"} ${ref.id}`);
  if (fresh) return ask(call, ref, question.id ?? id, question, wishes);
  const { behind } = question;
  const found = await findOnPath(
    call,
    ref,
    (user, answered) =>
      (answered !== null && answered.id === messageId) ||
      user.id === question.id ||
      (behind !== undefined && user.parent === behind),
  );
  if (found !== null && found.answer !== null) {
    // The same words in the same place: whoever sends them once more wants another answer.
    if (again || found.user.text === question.text) {
      return askAgain(call, ref, id, found.answer, wishes);
    }
  } else if (again && isUuid(messageId)) {
    const elsewhere = await askAgain(call, ref, id, { id: messageId }, wishes).catch(unlessUnknown);
    if (elsewhere !== null) return elsewhere;
  }
  // What the conversation lacks is asked now; what it has in other words is asked beside them.
  const place = found === null ? behind : found.user.parent;
  return ask(call, ref, id, { ...question, behind: place }, wishes);
}

function unlessUnknown(error: unknown): null {
  if (error instanceof AppError && error.code === "message_not_found") return null;
  throw error;
}

function listed({ id, role, parts }: UiMessageIn): Listed {
  if (role === "user" && parts.some(({ type }) => type === "file")) {
    throw new AppError("bad_request", "Messages with files are not taken here.");
  }
  const texts = parts.flatMap(({ type, text = "" }) => (type === "text" ? [text] : []));
  return { id: id ?? null, role, text: texts.join("\n") };
}

/** Streams the answer that is being written, from its beginning; 204 when none is. */
export async function resumeChat(call: Call, exchange: Exchange, chat: string): Promise<void> {
  const { service, who } = call;
  const ref = chatRef(call, chat);
  // A new chat of a page that resumes as it opens is no error; neither is another's told from it.
  const access = await service.owners.access(ref, who);
  const wanted = access === "granted" ? await open(call, ref) : null;
  if (wanted === null) return exchange.answer({ status: 204, body: null });
  await answer(call, exchange, ref, wanted);
}

async function open(call: Call, ref: ActorRef): Promise<WantedTurn | null> {
  const lease = call.service.rooms.enter(ref);
  try {
    await lease.room.opened;
    const running = lease.room.turns.first();
    if (running !== null) return turnFrom(running.turn, running.revision);
    const last = await findOnPath(call, ref, () => true);
    const answer = last?.answer ?? null;
    if (answer === null || answer.turn === null) return null;
    const lacks = await lacksEnd(call, lease.room, answer, answer.turn);
    return lacks ? turnFrom(answer.turn, answer.revision) : null;
  } finally {
    lease.release();
  }
}

/**
 * Whether a page that comes back lacks the end of an answer that is not written any more. It may say
 * what it has; else it does when its stream was lost here, or when the answer began anew behind its
 * first word, which ends every stream of it.
 */
async function lacksEnd(
  { query, service, who }: Call,
  room: Room,
  { id, revision }: Message,
  turn: string,
): Promise<boolean> {
  const has = query.get("last");
  if (has !== null) return has !== id;
  if (service.cutStreams.has(who, turn)) return true;
  const { base, commits } = room.tail.from(revision - 1);
  let anew = false;
  for await (const { at, events } of commits ?? room.read(base)) {
    for (const event of events) {
      if (!("turn" in event.data) || event.data.turn !== turn) continue;
      anew ||= event.type === "turn.restarted";
      if (isEnding(event.type)) {
        return anew && Date.parse(at) > service.ports.clock.now() - limits.stream_cut_ms;
      }
    }
  }
  return false;
}

/** The chat's messages so far, without the answer that is being written; none of a new chat. */
export async function listChat(call: Call, chat: string): Promise<Shown<Page<UiMessage>>> {
  const ref = chatRef(call, chat);
  if ((await call.service.owners.access(ref, call.who)) !== "granted") {
    return { value: { items: [], next: null }, sequence: 0 };
  }
  const { value, sequence } = await listMessages(call, ref.id);
  for (const { turn, finish } of value.items) {
    if (turn !== null && finish !== null) call.service.cutStreams.forget(call.who, turn);
  }
  return { value: { items: value.items.flatMap(uiMessage), next: value.next }, sequence };
}

/** Ends the answer that is being written, on every device. */
export const cancelChat = (call: Call, chat: string): Promise<Shown<Accepted>> =>
  act({ ...call, body: {} }, chatRef(call, chat).id, "cancel", null);

async function answer(
  { service, who }: Call,
  exchange: Exchange,
  ref: ActorRef,
  wanted: WantedTurn,
): Promise<void> {
  const { turn } = wanted;
  const cut = (): void => service.cutStreams.remember(who, turn);
  const encoder = uiEncoder(ref.id, turn, cut);
  await answerTurns(service, who, exchange, {
    ...{ ref, wanted, encoder, headers: ui_stream_headers, gone: cut },
  });
  if (encoder.done === true) service.cutStreams.forget(who, turn);
}
