/**
 * What one client was told of one conversation. Each frame is judged as it comes: events once and in
 * order, frames of the last attempt once and in order, and an answer's frames are the text of the
 * event that ends it, byte for byte (I5, I6).
 */
import type { EndFrame, EventFrame, TokenOut } from "../../schemas/frames.ts";
import { isEnding } from "../../schemas/events.ts";
import type { Handlers } from "../../web/client.ts";
import { pulse } from "../support/pulse.ts";

export interface Told extends Required<Pick<Handlers, "event" | "token" | "end">> {
  readonly events: readonly EventFrame[];
  /** The text of each turn, as the frames of its last attempt tell it. */
  readonly texts: ReadonlyMap<string, string>;
  /** Turns that were queued or started and have not ended, oldest first. */
  readonly open: ReadonlySet<string>;
  /** Frames so far. */
  readonly frames: number;
  /** Resolves when it holds; it is looked at after every frame. */
  until(holds: () => boolean): Promise<void>;
}

/** Where two texts part, in a line. */
export function apart(told: string, stored: string): string {
  let at = 0;
  while (at < told.length && told[at] === stored[at]) at += 1;
  const part = (text: string): string => JSON.stringify(text.slice(at, at + 40));
  return `from ${at} on told ${part(told)} of ${told.length}, stored ${part(stored)} of ${stored.length}`;
}

export function openTold(onFrame: () => void, onWrong: (why: string) => void): Told {
  const events: EventFrame[] = [];
  const texts = new Map<string, string>();
  const open = new Set<string>();
  const owed = new Set<string>();
  const places = new Map<string, { attempt: number; seq: number }>();
  const news = pulse();
  let frames = 0;

  const took = (): void => {
    frames += 1;
    news.beat();
    onFrame();
  };
  const ended = (frame: EventFrame): void => {
    const { turn, text, seq } = frame.event;
    const told = texts.get(String(turn)) ?? "";
    if (told !== text) onWrong(`text of ${String(turn)}: ${apart(told, String(text))}`);
    const last = places.get(String(turn))?.seq ?? 0;
    if (last !== seq) onWrong(`${String(turn)} ends at frame ${String(seq)} after ${last}`);
    open.delete(String(turn));
    owed.add(String(turn));
  };
  return {
    events,
    texts,
    open,
    get frames() {
      return frames;
    },
    event(frame: EventFrame) {
      const { revision, event } = frame;
      if (revision !== events.length + 1) onWrong(`revision ${revision} after ${events.length}`);
      events.push(frame);
      const turn = String(event["turn"]);
      if (event.type === "turn.queued") open.add(turn);
      if (event.type === "turn.started" || event.type === "turn.restarted") {
        open.add(turn);
        places.set(turn, { attempt: Number(event["attempt"]), seq: 0 });
        texts.set(turn, "");
      }
      if (isEnding(event.type)) ended(frame);
      took();
    },
    token({ turn, attempt, seq, from = seq, content }: TokenOut) {
      const place = places.get(turn);
      if (place?.attempt !== attempt) {
        onWrong(`a frame of ${turn} attempt ${attempt} in ${place?.attempt ?? "no"} attempt`);
      }
      if (from !== (place?.seq ?? 0) + 1) onWrong(`frame ${from} after ${place?.seq} of ${turn}`);
      places.set(turn, { attempt, seq });
      texts.set(turn, (texts.get(turn) ?? "") + content);
      took();
    },
    end({ turn }: EndFrame) {
      if (!owed.delete(turn)) onWrong(`an end of ${turn} that was not owed`);
      took();
    },
    until: news.until,
  };
}
