/**
 * What happens to one turn, in the words that encoders of foreign protocols need. Pure: made of the
 * frames that its conversation's readers are pushed, in their order (I5).
 */
import { type ErrorBody, errorBody } from "../../schemas/errors.ts";
import type { EndFrame } from "../../schemas/frames.ts";
import type { PushFrame } from "../live/cursor.ts";
import { shownEvent } from "../live/push-frames.ts";

export type Happening =
  /** It waits, or runs at once. `message`: the answer's id; `user`: that of the message it answers. */
  | {
      readonly is: "accepted";
      readonly turn: string;
      readonly message: string;
      readonly user: string;
    }
  | { readonly is: "started"; readonly provider: string; readonly model: string }
  /** The text of the attempts before is void, and the answer begins anew. */
  | { readonly is: "restarted"; readonly attempt: number }
  /** What follows the text before, of the same attempt. */
  | {
      readonly is: "text";
      readonly text: string;
      readonly attempt: number;
      readonly seq: number;
    }
  | {
      readonly is: "ended";
      readonly finish: EndFrame["finish"];
      readonly usage: EndFrame["usage"];
      /** Why it failed. */
      readonly error: ErrorBody | null;
    };

/** Tells the turn's happenings, frame after frame; frames of other turns tell nothing. */
export function tellTurn(turn: string): (frame: PushFrame) => readonly Happening[] {
  let accepted = false;
  let error: ErrorBody | null = null;
  const accept = (data: { message: string; user: string }): Happening[] => {
    if (accepted) return [];
    accepted = true;
    return [{ is: "accepted", turn, message: data.message, user: data.user }];
  };
  return (frame) => {
    switch (frame.type) {
      case "token": {
        if (frame.turn !== turn) return [];
        const { content: text, attempt, seq } = frame;
        return [{ is: "text", text, attempt, seq }];
      }
      case "end": {
        if (frame.turn !== turn) return [];
        const { finish, usage } = frame;
        return [{ is: "ended", finish, usage, error: finish === "failed" ? error : null }];
      }
      case "event": {
        const event = shownEvent(frame);
        if (event === null || !("turn" in event.data) || event.data.turn !== turn) return [];
        switch (event.type) {
          case "turn.queued":
            return accept(event.data);
          case "turn.started": {
            const { provider, model } = event.data;
            return [...accept(event.data), { is: "started", provider, model }];
          }
          case "turn.restarted":
            return [{ is: "restarted", attempt: event.data.attempt }];
          case "turn.failed": {
            const { code, detail } = event.data;
            error = errorBody(code, detail === "" ? undefined : detail);
            return [];
          }
          default:
            return [];
        }
      }
    }
  };
}

/**
 * For protocols that cannot take text back. A restart before the first word is not told; one after it
 * ends the turn there as failed with `turn_restarted`, so that no reader ever has text twice.
 */
export function withoutRestarts(): (happening: Happening) => Happening | null {
  let spoken = false;
  let broken = false;
  return (happening) => {
    if (broken) return null;
    if (happening.is === "text") spoken = true;
    if (happening.is !== "restarted") return happening;
    if (!spoken) return null;
    broken = true;
    const usage = { tokensIn: 0, tokensOut: 0, costUsd: "0.000000" };
    return { is: "ended", finish: "failed", usage, error: errorBody("turn_restarted") };
  };
}
