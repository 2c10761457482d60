/** What the publisher of the feed writes before each of its batches (`streams/feed/feed.ts`). */
import Type, { type Static } from "typebox";
import { check } from "./validate.ts";

/** One event of the log: the EVENTS sequence of its commit, and its number in it from 0 on. */
export const LogPlace = Type.Object({
  sequence: Type.Integer({ minimum: 1 }),
  index: Type.Integer({ minimum: 0 }),
});
export type LogPlace = Static<typeof LogPlace>;

/** The events whose messages follow the mark, in order, and where the log goes on behind them. */
export const FeedMark = Type.Object({
  v: Type.Literal(1),
  events: Type.Array(LogPlace),
  next: LogPlace,
});
export const feedMark = check(FeedMark);
