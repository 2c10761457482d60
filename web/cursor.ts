/**
 * Where the reading of one conversation stands, to the single token: what makes resuming exact.
 * It keeps I5 and I6 on the client's side: every revision once and in order, every frame of an
 * attempt once and in order. It knows nothing of sockets; it only judges frames.
 */
import type { After, EndFrame, EventFrame, TokenOut } from "../schemas/frames.ts";
import type { Usage } from "../schemas/events/fields.ts";
import type { EndingType } from "../schemas/events.ts";

export type ConversationFrame = EventFrame | TokenOut | EndFrame;

/** `next`: deliver it. `old`: it was delivered before. `gap`: something before it is missing. */
export type Verdict = "next" | "old" | "gap";

export interface Cursor {
  /** Judges a frame and, when it is the next one, moves past it. */
  take(frame: ConversationFrame): Verdict;
  /** The exact place, as `subscribe` takes it. */
  after(): After;
  /**
   * Called when a replay from `after` is asked for. Gives the `end` frames that no replay brings:
   * of turns whose ending event was read while their `end` got lost with a socket.
   */
  replay(conversation: string): EndFrame[];
}

const finishes: Readonly<Record<EndingType, EndFrame["finish"] | null>> = {
  "turn.completed": null,
  "turn.cancelled": "cancelled",
  "turn.failed": "failed",
};
const no_usage: Usage = { tokensIn: 0, tokensOut: 0, costUsd: "0.000000" };

/** `after` is where an earlier reading stopped; without it the reading begins at the beginning. */
export function openCursor(after: After = { revision: 0 }): Cursor {
  let revision = after.revision;
  let running: { turn: string; attempt: number; seq: number } | null =
    "turn" in after ? { turn: after.turn, attempt: after.attempt, seq: after.seq } : null;
  let ended = ""; // the last turn that ended: late tokens and repeated ends of it are old
  let replays = 0;
  let missing: { turn: string; since: number } | null = null;
  const awaited = new Map<string, Omit<EndFrame, "type" | "conversation">>();

  /** An ending event says how many frames its attempt has. */
  const framesMissing = (event: EventFrame["event"]): boolean => {
    const { turn, attempt, seq } = event;
    if (!(event.type in finishes) || event.redacted === true || typeof turn !== "string")
      return false;
    const read = running?.turn === turn && running.attempt === attempt ? running.seq : 0;
    if (seq === read) return false;
    if (missing?.turn !== turn) missing = { turn, since: replays };
    // Two replays without them: they are nowhere, and the event's own text is the answer.
    return replays < missing.since + 2;
  };

  const takeEvent = ({ revision: number, event }: EventFrame): Verdict => {
    if (number <= revision) return "old";
    if (number > revision + 1 || framesMissing(event)) return "gap";
    revision = number;
    const turn = typeof event["turn"] === "string" ? event["turn"] : "";
    if (event.type === "turn.started" || event.type === "turn.restarted") {
      running = { turn, attempt: Number(event["attempt"]), seq: 0 };
    } else if (event.type in finishes) {
      const ending = event.type as EndingType; // it is a key of `finishes`
      const finish = finishes[ending] ?? (event["finish"] === "length" ? "length" : "stop");
      // A redacted ending has no usage; the field is there by its schema otherwise.
      const usage = (event["usage"] as Usage | undefined) ?? no_usage;
      if (turn !== "") awaited.set(turn, { turn, finish, usage });
      if (running?.turn === turn) running = null;
      ended = turn;
    }
    return "next";
  };

  const takeToken = (frame: TokenOut): Verdict => {
    if (frame.turn === ended) return "old";
    const first = frame.from ?? frame.seq;
    if (running?.turn !== frame.turn) {
      // Its start lies before the cursor, so its frames come from the first one.
      if (running !== null || first !== 1) return "gap";
      running = { turn: frame.turn, attempt: frame.attempt, seq: frame.seq };
      return "next";
    }
    if (frame.attempt < running.attempt) return "old";
    if (frame.attempt > running.attempt) return "gap";
    if (frame.seq <= running.seq) return "old";
    if (first !== running.seq + 1) return "gap";
    running.seq = frame.seq;
    return "next";
  };

  return {
    take(frame) {
      if (frame.type === "event") return takeEvent(frame);
      if (frame.type === "token") return takeToken(frame);
      if (awaited.delete(frame.turn)) return "next";
      return frame.turn === running?.turn ? "gap" : "old";
    },
    after: () => (running === null ? { revision } : { revision, ...running }),
    replay(conversation) {
      replays += 1;
      const lost = [...awaited.values()].map((end) => ({
        type: "end" as const,
        conversation,
        ...end,
      }));
      awaited.clear();
      return lost;
    },
  };
}
