/** What a client was told of one conversation, and a wait for the part of it that a test needs. */
import type { EndFrame, EventFrame, TokenOut } from "../../schemas/frames.ts";
import type { Handlers } from "../../web/client.ts";
import { pulse } from "../support/pulse.ts";

export interface Story extends Required<Pick<Handlers, "event" | "token" | "end">> {
  readonly frames: readonly (EventFrame | TokenOut | EndFrame)[];
  /** The text of a turn's highest attempt, as its frames tell it. */
  text(turn: string): string;
  events(type: string): readonly EventFrame[];
  until(holds: (story: Story) => boolean): Promise<void>;
}

/** Throws in a handler's place when a frame is not the next one: twice, or with a gap. */
export function openStory(onWrong: (why: string) => void): Story {
  const frames: (EventFrame | TokenOut | EndFrame)[] = [];
  const news = pulse();
  let revision = 0;
  const last = new Map<string, number>();
  const texts = new Map<string, { attempt: number; text: string }>();
  const took = (frame: EventFrame | TokenOut | EndFrame): void => {
    frames.push(frame);
    news.beat();
  };
  const story: Story = {
    frames,
    event(frame) {
      if (frame.revision !== revision + 1) onWrong(`revision ${frame.revision} after ${revision}`);
      revision = frame.revision;
      took(frame);
    },
    token(frame) {
      const key = `${frame.turn} ${frame.attempt}`;
      const first = frame.from ?? frame.seq;
      const before = last.get(key) ?? 0;
      if (first !== before + 1) onWrong(`frame ${first} after ${before} of ${key}`);
      last.set(key, frame.seq);
      const known = texts.get(frame.turn);
      const text = known?.attempt === frame.attempt ? known.text : "";
      texts.set(frame.turn, { attempt: frame.attempt, text: text + frame.content });
      took(frame);
    },
    end: took,
    text: (turn) => texts.get(turn)?.text ?? "",
    events: (type) =>
      frames.filter(
        (frame): frame is EventFrame => frame.type === "event" && frame.event.type === type,
      ),
    until: (holds) => news.until(() => holds(story)),
  };
  return story;
}
