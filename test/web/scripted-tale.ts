/** One conversation of the scripted gateway: its events and frames in the order of the log. */
import type {
  After,
  ClientEvent,
  ClientFrame,
  ConversationChange,
  EndFrame,
  EventFrame,
  TokenOut,
} from "../../schemas/frames.ts";
import type { Conversation, Message } from "../../schemas/http.ts";
import { empty_view, fold } from "../../web/conversation.ts";

type Line = EventFrame | TokenOut | EndFrame;
const usage = { tokensIn: 1, tokensOut: 1, costUsd: "0.000000" };

export interface Tale {
  readonly revision: number;
  readonly lines: readonly Line[];
  command(frame: ClientFrame): Line[];
  event(event: ClientEvent): Line[];
  begin(): Line[];
  token(content: string): Line[];
  restart(): Line[];
  finish(type: "turn.completed" | "turn.failed" | "turn.cancelled", code?: string): Line[];
  replay(after: After): Line[];
  conversation(): Conversation;
  messages(): Message[];
  change(): ConversationChange;
}

export function newTale(conversation: string, ids: () => string): Tale {
  const lines: Line[] = [];
  let revision = 0;
  let newest = "";
  let running: {
    turn: string;
    message: string;
    attempt: number;
    seq: number;
    text: string;
  } | null = null;
  let time = Date.parse("2026-01-01T00:00:00.000Z");

  const event = (data: ClientEvent): Line[] => {
    revision += 1;
    time += 1_000;
    const at = new Date(time).toISOString();
    const line: EventFrame = { type: "event", conversation, revision, at, event: data };
    lines.push(line);
    return [line];
  };
  const added = (message: string, parent: string | null, text: string): Line[] => {
    newest = message;
    return event({ type: "message.added", message, parent, role: "user", text });
  };
  const begin = (): Line[] => {
    running = { turn: ids(), message: ids(), attempt: 1, seq: 0, text: "" };
    const { turn, message } = running;
    return event({
      type: "turn.started",
      turn,
      message,
      user: newest,
      attempt: 1,
      owner: "w",
      provider: "scripted",
      model: "scripted",
    });
  };
  const finish: Tale["finish"] = (type, code = "") => {
    if (running === null) return [];
    const { turn, message, attempt, seq, text } = running;
    running = null;
    const more =
      type === "turn.completed" ? { finish: "stop" } : { code, detail: "", reason: "asked" };
    const ended = event({ type, turn, message, attempt, seq, text, usage, ...more });
    const how = {
      "turn.completed": "stop",
      "turn.failed": "failed",
      "turn.cancelled": "cancelled",
    } as const;
    const end: EndFrame = { type: "end", conversation, turn, finish: how[type], usage };
    lines.push(end);
    return [...ended, end];
  };
  const fields = (line: Line): Readonly<Record<string, unknown>> =>
    line.type === "event" ? line.event : {};

  const tale: Tale = {
    get revision() {
      return revision;
    },
    lines,
    event,
    begin,
    finish,
    command(frame) {
      if (frame.type === "send") {
        const started =
          revision === 0
            ? event({
                type: "conversation.started",
                origin: "chat",
                owner: "you",
                model: null,
                overlap: "queue",
              })
            : [];
        const head = tale.conversation().head;
        return [...started, ...added(frame.id, head, frame.text)];
      }
      if (frame.type === "edit") {
        const parent = tale.messages().find(({ id }) => id === frame.message)?.parent ?? null;
        return added(frame.id, parent, frame.text);
      }
      if (frame.type === "regenerate") {
        newest = tale.messages().find(({ id }) => id === frame.message)?.parent ?? newest;
        return begin();
      }
      return frame.type === "cancel" ? finish("turn.cancelled") : [];
    },
    token(content) {
      if (running === null) return [];
      running.seq += 1;
      running.text += content;
      const { turn, attempt, seq } = running;
      const line: TokenOut = { type: "token", conversation, turn, attempt, seq, content };
      lines.push(line);
      return [line];
    },
    restart() {
      if (running === null) return [];
      running = { ...running, attempt: running.attempt + 1, seq: 0, text: "" };
      const { turn, attempt } = running;
      return event({
        type: "turn.restarted",
        turn,
        attempt,
        owner: "w",
        provider: "scripted",
        model: "scripted",
        reason: "owner_gone",
      });
    },
    replay(after) {
      const ended = new Set<unknown>();
      const attempts = new Map<unknown, number>();
      for (const line of lines) {
        const { turn, attempt, finish: _, seq } = fields(line);
        if (line.type !== "event" || turn === undefined) continue;
        if (seq !== undefined && line.revision <= after.revision) ended.add(turn);
        attempts.set(turn, Number(attempt));
      }
      return lines.filter((line) => {
        if (line.type === "event") return line.revision > after.revision;
        if (ended.has(line.turn)) return false;
        if (line.type === "end") return true;
        if (line.attempt < (attempts.get(line.turn) ?? 1)) return false;
        const same = "turn" in after && after.turn === line.turn && after.attempt === line.attempt;
        return !same || line.seq > after.seq;
      });
    },
    conversation() {
      const view = lines.reduce(fold, empty_view);
      const { title, status, head } = view;
      const at = new Date(time).toISOString();
      return {
        id: conversation,
        title,
        status,
        head,
        revision,
        createdAt: at,
        updatedAt: at,
        owner: "you",
        origin: "chat",
        model: null,
        overlap: "queue",
        turn: running?.turn ?? null,
        access: "owner",
        shares: [],
      };
    },
    messages() {
      const view = lines.reduce(fold, empty_view);
      return [...view.messages.values()].map((message) => ({
        ...message,
        conversation,
        citations: [],
        finish: null,
        usage: null,
        rating: null,
        revision:
          lines.find(
            (line): line is EventFrame =>
              line.type === "event" && line.event["message"] === message.id,
          )?.revision ?? 1,
      }));
    },
    change() {
      const { id, title, status, updatedAt } = tale.conversation();
      return { id, title, status, revision, updatedAt, access: "owner" };
    },
  };
  return tale;
}
