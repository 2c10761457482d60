/**
 * Token frames on `tok.<tenant>.<conversation>`, and the record of them that the log keeps.
 * The frames of a turn's last attempt, concatenated, are exactly the text of the event that ends
 * it (I5); `cutFrames` is how that text becomes frames again.
 */
import Type from "typebox";
import { Uuid } from "./ids.ts";
import { check } from "./validate.ts";

/** `t` turn, `a` attempt, `s` 1, 2, 3 … per attempt, `d` text, never split in a surrogate pair. */
export const TokenFrame = Type.Object({
  t: Uuid,
  a: Type.Integer({ minimum: 1 }),
  s: Type.Integer({ minimum: 1 }),
  d: Type.String({ minLength: 1 }),
});
export type TokenFrame = Type.Static<typeof TokenFrame>;
export const isTokenFrame = check(TokenFrame).is;

/**
 * Frames as the log keeps them: `lengths` in UTF-16 units, `times` in ms, each since the frame
 * before (the first since the attempt's start), so that an answer can be played back as it was seen.
 */
export const FrameRecord = Type.Object({
  lengths: Type.Array(Type.Integer({ minimum: 1 })),
  times: Type.Array(Type.Integer({ minimum: 0 })),
});
export type FrameRecord = Type.Static<typeof FrameRecord>;

export const no_frames: FrameRecord = { lengths: [], times: [] };

/** Cuts the text of an ending or checkpoint back into its frames; `first` is the first one's seq. */
export function cutFrames(
  text: string,
  record: FrameRecord,
  turn: string,
  attempt: number,
  first = 1,
): TokenFrame[] {
  const frames: TokenFrame[] = [];
  let at = 0;
  for (const [index, length] of record.lengths.entries()) {
    frames.push({ t: turn, a: attempt, s: first + index, d: text.slice(at, at + length) });
    at += length;
  }
  return frames;
}
