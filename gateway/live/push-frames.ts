/**
 * What a conversation's reader is sent: events flattened beside their type, token frames, ends; and
 * where a reader stands after each. Pure. What clients may not see is decided here, once.
 */
import { type DomainEvent, type EndingType, isEnding } from "../../schemas/events.ts";
import type { EndFrame, EventFrame, TokenOut } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import type { Position, PushFrame } from "./cursor.ts";

/**
 * Bookkeeping of the log: the same text reaches clients as token frames and with the ending. And what
 * is between a conversation's owner and one other: everybody who reads it is sent the same frame.
 */
const hidden: ReadonlySet<DomainEvent["type"]> = new Set([
  "turn.checkpointed",
  ...(["conversation.shared", "conversation.unshared", "message.rated"] as const),
]);

type Ending = Extract<DomainEvent, { type: EndingType }>;

const endings = {
  "turn.completed": null,
  "turn.cancelled": "cancelled",
  "turn.failed": "failed",
} as const;

export function eventFrame(
  conversation: string,
  revision: number,
  at: string,
  event: DomainEvent,
): EventFrame {
  const shown = hidden.has(event.type)
    ? { type: event.type, redacted: true as const }
    : { type: event.type, ...event.data };
  return { type: "event", conversation, revision, at, event: shown };
}

/** The event of a frame as it was decided; null when its readers may not see it. */
export function shownEvent({ event }: EventFrame): DomainEvent | null {
  const { type, redacted, ...data } = event;
  // `eventFrame` made it of a typed event's type and data; only the pair of both is lost on the way.
  return redacted === true ? null : ({ type, v: 1, data } as DomainEvent);
}

export function endFrame(conversation: string, event: Ending): EndFrame {
  const { turn, usage } = event.data;
  const finish = event.type === "turn.completed" ? event.data.finish : endings[event.type];
  return { type: "end", conversation, turn, finish, usage };
}

/** The `end` that follows an event; null when it ends no turn. */
export function endOf(conversation: string, event: DomainEvent): EndFrame | null {
  switch (event.type) {
    case "turn.completed":
    case "turn.cancelled":
    case "turn.failed":
      return endFrame(conversation, event);
    default:
      return null;
  }
}

export const tokenFrame = (conversation: string, frame: TokenFrame): TokenOut => ({
  type: "token",
  conversation,
  turn: frame.t,
  attempt: frame.a,
  seq: frame.s,
  content: frame.d,
});

/** Merges consecutive frames of one attempt; each result is at most one large token frame. */
export function mergeFrames(conversation: string, frames: readonly TokenFrame[]): TokenOut[] {
  const merged: TokenOut[] = [];
  let first: TokenFrame | null = null;
  let last: TokenFrame | null = null;
  let content = "";
  const close = (): void => {
    if (first === null || last === null) return;
    const whole = tokenFrame(conversation, { ...last, d: content });
    merged.push(first.s === last.s ? whole : { ...whole, from: first.s });
  };
  for (const frame of frames) {
    if (first !== null && content.length + frame.d.length > limits.token_frame_chars_max) {
      close();
      first = null;
      content = "";
    }
    first ??= frame;
    last = frame;
    content += frame.d;
  }
  close();
  return merged;
}

/** Where a reader stands that stood at `position` and has now been sent `frame`. */
export function advance(position: Position, frame: PushFrame): Position {
  switch (frame.type) {
    case "token": {
      const { turn, attempt, seq } = frame;
      return { revision: position.revision, turn: { turn, attempt, seq }, owed: position.owed };
    }
    case "end":
      return { ...position, owed: null };
    case "event":
      return { revision: frame.revision, ...advanceEvent(position, frame) };
  }
}

function advanceEvent(position: Position, frame: EventFrame): Pick<Position, "turn" | "owed"> {
  // The frame was made by `eventFrame` from a typed event, which is never redacted for these types.
  const event = frame.event as unknown;
  const data = event as DomainEvent["data"] & { type: DomainEvent["type"] };
  if (data.type === "turn.started" || data.type === "turn.restarted") {
    const { turn, attempt } = data as { turn: string; attempt: number };
    // A reader may name frames that it has before it is told of their turn (chat-stream.ts).
    const read = position.turn;
    const seq = read !== null && read.turn === turn && read.attempt === attempt ? read.seq : 0;
    return { turn: { turn, attempt, seq }, owed: null };
  }
  if (isEnding(data.type)) {
    const ending = { type: data.type, v: 1, data } as Ending; // as above
    const running = position.turn?.turn === ending.data.turn ? null : position.turn;
    return { turn: running, owed: endFrame(frame.conversation, ending) };
  }
  return { turn: position.turn, owed: position.owed };
}
