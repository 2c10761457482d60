/**
 * A conversation as a reader sees it: a pure fold of frames, begun empty or from the REST history.
 * Folding is idempotent: an answer that has ended stays as it ended, so a history that is newer than
 * the cursor it is continued from does no harm. It renders nothing and asks for nothing.
 */
import type { EndFrame, EventFrame, TokenOut } from "../schemas/frames.ts";
import type { Conversation, Message } from "../schemas/http.ts";

export type MessageStatus = Message["status"];

export interface ViewMessage {
  readonly id: string;
  readonly role: Message["role"];
  readonly text: string;
  readonly parent: string | null;
  readonly turn: string | null;
  readonly model: string | null;
  readonly status: MessageStatus;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly createdAt: string;
}

export interface View {
  readonly title: string | null;
  readonly status: Conversation["status"];
  readonly head: string | null;
  readonly messages: ReadonlyMap<string, ViewMessage>;
  /** The answer being written: apart from the messages, so that a token copies nothing. */
  readonly streaming: {
    readonly turn: string;
    readonly message: string;
    readonly attempt: number;
    readonly text: string;
  } | null;
  /** Answers that have had their effect on the head; it may have moved since. */
  readonly placed: ReadonlySet<string>;
  /** What a history already says about title, status and head, up to this revision. */
  readonly known: number;
}

export const empty_view: View = {
  title: null,
  status: "active",
  head: null,
  messages: new Map(),
  streaming: null,
  placed: new Set(),
  known: 0,
};

/** The view of a REST history; `messages` is the whole tree (`all=true`). */
export function viewOf(conversation: Conversation, messages: readonly Message[]): View {
  const { title, status, head, revision } = conversation;
  const map = new Map<string, ViewMessage>();
  for (const { id, role, text, parent, turn, model, status: state, error, createdAt } of messages) {
    map.set(id, { id, role, text, parent, turn, model, status: state, error, createdAt });
  }
  const placed = new Set(
    messages.filter((message) => message.revision <= revision).map(({ id }) => id),
  );
  const running = messages.find((message) => message.status === "generating");
  const streaming =
    running === undefined || running.turn === null
      ? null
      : { turn: running.turn, message: running.id, attempt: 0, text: "" };
  return { title, status, head, messages: map, streaming, placed, known: revision };
}

/**
 * The revision to follow a history from. Its parts were read one after the other and may be of
 * different ages, so it is the place before which nothing can be missing: no later than the
 * conversation, its newest message, and the oldest answer that had not ended.
 */
export function followFrom(conversation: Conversation, messages: readonly Message[]): number {
  let newest = 0;
  let from = conversation.revision;
  for (const { revision, status } of messages) {
    newest = Math.max(newest, revision);
    if (status === "generating" || status === "queued") from = Math.min(from, revision);
  }
  return Math.min(from, newest);
}

const settled = (status: MessageStatus): boolean => status !== "generating" && status !== "queued";

export function fold(view: View, frame: EventFrame | TokenOut | EndFrame): View {
  if (frame.type === "token") return foldToken(view, frame);
  return frame.type === "event" ? foldEvent(view, frame) : view;
}

function foldToken(view: View, frame: TokenOut): View {
  const { turn, attempt, content } = frame;
  const now = view.streaming;
  if (now?.turn === turn) {
    if (attempt < now.attempt) return view;
    const text = attempt > now.attempt ? content : now.text + content;
    return { ...view, streaming: { ...now, attempt, text } };
  }
  const message = messageOf(view, turn);
  if (message === undefined || settled(message.status)) return view;
  const streaming = { turn, message: message.id, attempt, text: content };
  return { ...put(view, { ...message, status: "generating" }), streaming };
}

function foldEvent(view: View, { revision, at, event }: EventFrame): View {
  const news = revision > view.known; // about the conversation itself
  const text = (field: string): string => {
    const value = event[field];
    return typeof value === "string" ? value : "";
  };
  switch (event.type) {
    case "conversation.titled":
      return news ? { ...view, title: text("title") } : view;
    case "conversation.archived":
      return news ? { ...view, status: "archived" } : view;
    case "conversation.restored":
      return news ? { ...view, status: "active" } : view;
    case "conversation.deleted":
      return { ...view, status: "deleted", streaming: null };
    case "head.moved":
      return news ? { ...view, head: text("message") } : view;
    case "message.added": {
      const said = event["role"];
      const role = said === "system" || said === "assistant" ? said : "user";
      const parent = text("parent") || null;
      const id = text("message");
      const known = { id, role, text: text("text"), parent, turn: null, model: null } as const;
      const added = put(view, { ...known, status: "done", error: null, createdAt: at });
      return news ? { ...added, head: id } : added;
    }
    case "turn.queued":
    case "turn.started":
      return begun(view, event.type === "turn.started", text, at, news);
    case "turn.restarted": {
      const message = messageOf(view, text("turn"));
      if (message === undefined || settled(message.status)) return view;
      const streaming = { turn: text("turn"), message: message.id, text: "" };
      return { ...view, streaming: { ...streaming, attempt: Number(event["attempt"]) } };
    }
    case "turn.completed":
    case "turn.cancelled":
    case "turn.failed":
      return ended(view, event.type, text);
    default:
      return view;
  }
}

function begun(
  view: View,
  started: boolean,
  text: (field: string) => string,
  at: string,
  news: boolean,
): View {
  const id = text("message");
  const turn = text("turn");
  const before = view.messages.get(id);
  // A queued turn became the head when it was queued, not when it starts.
  const heads = news && (!started || !view.placed.has(id));
  const placed = view.placed.has(id) ? view.placed : new Set(view.placed).add(id);
  const place = { head: heads ? id : view.head, placed };
  if (before !== undefined && settled(before.status)) return { ...view, ...place };
  const status: MessageStatus = started ? "generating" : (before?.status ?? "queued");
  const next: ViewMessage = {
    id,
    role: "assistant",
    text: before?.text ?? "",
    parent: text("user") || null,
    turn,
    model: text("model") || null,
    status,
    error: null,
    createdAt: before?.createdAt ?? at,
  };
  const seen = { ...put(view, next), ...place };
  if (!started || view.streaming?.turn === turn) return seen;
  return { ...seen, streaming: { turn, message: id, attempt: 1, text: "" } };
}

function ended(
  view: View,
  type: "turn.completed" | "turn.cancelled" | "turn.failed",
  text: (field: string) => string,
): View {
  const streaming = view.streaming?.turn === text("turn") ? null : view.streaming;
  const before = view.messages.get(text("message"));
  if (before === undefined) return { ...view, streaming };
  const status =
    type === "turn.completed" ? "done" : type === "turn.failed" ? "failed" : "cancelled";
  const error = status === "failed" ? { code: text("code"), message: text("detail") } : null;
  return { ...put(view, { ...before, text: text("text"), status, error }), streaming };
}

function put(view: View, message: ViewMessage): View {
  return { ...view, messages: new Map(view.messages).set(message.id, message) };
}

function messageOf(view: View, turn: string): ViewMessage | undefined {
  for (const message of view.messages.values()) if (message.turn === turn) return message;
  return undefined;
}
