/**
 * Frames as Server-Sent Events: `event:` is the frame's type, `data:` the frame as a WebSocket carries
 * it, `id:` where its reader stands after it, `<revision>.<turn>.<attempt>.<seq>` with `-` for what is
 * absent. The event that ends a turn still names it, so that whoever stops reading there is told its
 * `end`. Pure.
 */
import { AppError, type ErrorBody } from "../../schemas/errors.ts";
import type { ServerFrame } from "../../schemas/frames.ts";
import { isUuid } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Position, PushFrame } from "../live/cursor.ts";
import { shownEvent } from "../live/push-frames.ts";
import type { TurnEncoder } from "../turns/turn-answer.ts";

/** One message of a stream. `data` is JSON, which has no line end in it. */
export const sseMessage = (event: string | null, id: string | null, data: string): string =>
  `${id === null ? "" : `id: ${id}\n`}${event === null ? "" : `event: ${event}\n`}data: ${data}\n\n`;

/** A place in a conversation as an SSE id. */
export function placeId({ revision, turn }: Position): string {
  return turn === null
    ? `${revision}.-.-.-`
    : `${revision}.${turn.turn}.${turn.attempt}.${turn.seq}`;
}

const places = /^(\d{1,15})\.([0-9a-f-]{1,36})\.(\d{1,9}|-)\.(\d{1,9}|-)$/;

/** The place that an SSE id names. Throws `bad_cursor`. */
export function readPlace(id: string): Position {
  const [, revision = "", turn = "", attempt = "", seq = ""] = places.exec(id) ?? [];
  if (revision !== "" && turn === "-" && attempt === "-" && seq === "-") {
    return { revision: Number(revision), turn: null, owed: null };
  }
  if (!isUuid(turn) || attempt === "-" || seq === "-") {
    throw new AppError("bad_cursor", "Last-Event-ID is not an id that a stream of messages gave.");
  }
  const read = { turn, attempt: Number(attempt), seq: Number(seq) };
  return { revision: Number(revision), turn: read, owed: null };
}

/** The id of a frame's message. */
function idOf(frame: PushFrame, after: Position): string {
  if (frame.type !== "event" || after.owed === null) return placeId(after);
  const event = shownEvent(frame);
  if (event === null || !("seq" in event.data)) return placeId(after);
  const { turn, attempt, seq } = event.data;
  return placeId({ ...after, turn: { turn, attempt, seq } });
}

/** The encoder of one reader that stands at `place`. */
export function sseEncoder(place: Position): TurnEncoder {
  let id = placeId(place);
  return {
    push(frame, after) {
      id = idOf(frame, after);
      return sseMessage(frame.type, id, JSON.stringify(frame));
    },
    ended(error: ErrorBody | null) {
      if (error === null) return "";
      const frame: ServerFrame = { type: "error", ...error };
      const told = sseMessage("error", id, JSON.stringify(frame));
      // Whoever goes elsewhere waits until it is gone from the balancer; EventSource obeys it.
      return error.code === "shutting_down" ? `retry: ${limits.stream_retry_ms}\n${told}` : told;
    },
  };
}
