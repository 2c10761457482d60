/**
 * Where a conversation's head is, as actors/conversation/state.ts has it: a message, a queued answer
 * and a move take it; a turn that starts takes it only when it was not queued before, since the head
 * may have moved while it waited.
 */
import type { DomainEvent } from "../../schemas/events.ts";

export interface Branch {
  readonly head: string | null;
  /** Turns that wait, separated by spaces. */
  readonly queued: string;
}

const without = (queued: string, turn: string): string =>
  queued
    .split(" ")
    .filter((one) => one !== turn && one !== "")
    .join(" ");

/** Head and queue after an event. */
export function follow({ head, queued }: Branch, event: DomainEvent): Branch {
  switch (event.type) {
    case "message.added":
    case "head.moved":
      return { head: event.data.message, queued };
    case "turn.queued": {
      const { turn, message } = event.data;
      return { head: message, queued: `${without(queued, turn)} ${turn}`.trim() };
    }
    case "turn.started": {
      const { turn, message } = event.data;
      const waited = queued.split(" ").includes(turn);
      return { head: waited ? head : message, queued: without(queued, turn) };
    }
    case "turn.completed":
    case "turn.cancelled":
    case "turn.failed":
      return { head, queued: without(queued, event.data.turn) };
    default:
      return { head, queued };
  }
}
