import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  Cursor,
  type Position,
  type PushFrame,
  start_position,
} from "../../gateway/live/cursor.ts";
import { advance } from "../../gateway/live/push-frames.ts";
import { limits } from "../../schemas/limits.ts";
import {
  commitsOf,
  framesOf,
  type Item,
  script,
  type TurnScript,
  uuid,
} from "./conversation-script.ts";
import { Transcript } from "./transcript.ts";

const id = uuid(1);
const feed = (cursor: Cursor, item: Item): void =>
  "commit" in item ? cursor.commit(item.commit) : cursor.frame(item.frame);

const texts = fc.array(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 9 });
const turn: fc.Arbitrary<TurnScript> = fc.record({
  attempts: fc.array(texts, { minLength: 1, maxLength: 3 }),
  checkpointEvery: fc.integer({ min: 1, max: 5 }),
  end: fc.constantFrom("completed", "cancelled", "failed"),
});
const turns = fc.array(turn, { maxLength: 4 });

/** What a reader needs is read again from the log and the frames that memory still holds. */
function fill(cursor: Cursor, stored: readonly Item[], kept: (s: number) => boolean): void {
  const mark = cursor.mark();
  for (const commit of commitsOf(stored)) cursor.commit(commit);
  const open = cursor.turn;
  for (const frame of framesOf(stored)) {
    if (frame.t === open?.turn && kept(frame.s)) cursor.frame(frame);
  }
  cursor.settle(mark);
}

const replayed = (items: readonly Item[], start: Position, lost: boolean): PushFrame[] => {
  const cursor = new Cursor(id, start, { replaying: true });
  const out: PushFrame[] = [];
  for (const commit of commitsOf(items)) {
    cursor.commit(commit);
    out.push(...cursor.take());
  }
  for (const frame of lost ? [] : framesOf(items)) {
    if (frame.t === cursor.turn?.turn) cursor.frame(frame);
  }
  cursor.live();
  return [...out, ...cursor.take()];
};

describe("the cursor", () => {
  test("I5: any order, repetition and loss of both lanes gives the same transcript", () => {
    fc.assert(
      fc.property(turns, fc.infiniteStream(fc.nat(9)), fc.boolean(), (world, dice, memory) => {
        const items = script("acme", id, world);
        const want = new Transcript();
        for (const frame of replayed(items, start_position, true)) want.take(frame);

        const got = new Transcript();
        const cursor = new Cursor(id, start_position);
        const roll = (): number => dice.next().value ?? 0;
        const late: Item[] = [];
        for (const [index, item] of items.entries()) {
          const fate = roll();
          if (fate < 5) feed(cursor, item);
          if (fate === 4) feed(cursor, item);
          if (fate > 6) late.push(item);
          if (late.length > 0 && roll() > 5) {
            const [one] = late.splice(roll() % late.length, 1);
            if (one !== undefined) feed(cursor, one);
          }
          for (const frame of cursor.take()) got.take(frame);
          if (cursor.need() !== null && roll() > 4) {
            fill(cursor, items.slice(0, index + 1), (s) => memory && s % 3 > 0);
            for (const frame of cursor.take()) got.take(frame);
          }
        }
        for (const item of late) feed(cursor, item);
        fill(cursor, items, () => true);
        for (const frame of cursor.take()) got.take(frame);
        expect(got.story).toEqual(want.story);
        expect(got.owed).toBeNull();
        fill(cursor, items, () => true);
        expect(cursor.need()).toBeNull();
      }),
      { numRuns: 400 },
    );
  });

  test("I6: a reader cut off anywhere that comes back with its cursor misses and repeats nothing", () => {
    fc.assert(
      fc.property(turns, fc.nat(), fc.boolean(), (world, cutAt, lost) => {
        const items = script("acme", id, world);
        const live = new Cursor(id, start_position);
        const all: PushFrame[] = [];
        for (const item of items) {
          feed(live, item);
          all.push(...live.take());
        }
        const cut = cutAt % (all.length + 1);
        let position = start_position;
        const reader = new Transcript();
        for (const frame of all.slice(0, cut)) {
          reader.take(frame);
          position = advance(position, frame);
        }
        for (const frame of replayed(items, position, lost)) reader.take(frame);
        const want = new Transcript();
        for (const frame of all) want.take(frame);
        expect(reader.story).toEqual(want.story);
      }),
      { numRuns: 400 },
    );
  });

  const world = (end: TurnScript["end"]): Item[] =>
    script("acme", id, [
      {
        attempts: [
          ["a", "b", "c"],
          ["d", "e", "f", "g"],
        ],
        checkpointEvery: 2,
        end,
      },
    ]);
  const tokens = (frames: readonly PushFrame[]): string[] =>
    frames.flatMap((f) =>
      f.type === "token" ? [`${f.attempt}:${f.from ?? f.seq}-${f.seq}:${f.content}`] : [],
    );
  const turnOf = (items: readonly Item[]): string => framesOf(items)[0]?.t ?? "";

  test("I6: a replay of an open turn sends its last attempt from 1, checkpoints first", () => {
    const items = world("open");
    expect(tokens(replayed(items, start_position, false))).toEqual(["2:1-4:defg"]);
  });

  test("I6: only a cursor that names the last attempt goes on in it", () => {
    const items = world("open");
    const at = (revision: number, attempt: number, seq: number): Position => ({
      revision,
      turn: { turn: turnOf(items), attempt, seq },
      owed: null,
    });
    expect(tokens(replayed(items, at(6, 2, 3), false))).toEqual(["2:4-4:g"]);
    expect(tokens(replayed(items, at(5, 1, 3), false))).toEqual(["2:1-4:defg"]);
    expect(tokens(replayed(items, { revision: 6, turn: null, owed: null }, false))).toEqual([
      "2:1-4:defg",
    ]);
  });

  test("I5: I11: what waits is bounded; past the limit it is forgotten, and everything is read again", () => {
    const many = Array.from({ length: limits.cursor_pending_max + 2 }, () => "x");
    const items = script("acme", id, [
      { attempts: [many], checkpointEvery: 10_000, end: "completed" },
    ]);
    const cursor = new Cursor(id, start_position);
    const waiting = framesOf(items).filter(({ s: seq }) => seq > 1);
    expect(waiting).toHaveLength(limits.cursor_pending_max + 1);
    for (const frame of waiting.slice(1)) cursor.frame(frame);
    cursor.mark();
    expect(cursor.need()).toEqual({ kind: "events" });
    for (const frame of waiting.slice(0, 1)) cursor.frame(frame);
    expect(cursor.need()).toEqual({ kind: "events" });
    cursor.mark();
    expect(cursor.need()).toBeNull();
    fill(cursor, items, () => false);
    const transcript = new Transcript();
    for (const frame of cursor.take()) transcript.take(frame);
    expect(transcript.turn).toBeNull();
    expect(cursor.need()).toBeNull();
  });

  test("I11: frames are merged up to one large one, never beyond", () => {
    const { token_frame_chars_max: most } = limits;
    const sizes = [most - 10, 10, 1, most, most, 5, 5];
    const attempt = sizes.map((size, at) => String(at).repeat(size));
    const items = script("acme", id, [
      { attempts: [attempt], checkpointEvery: 10_000, end: "completed" },
    ]);
    const merged = replayed(items, start_position, true).filter(({ type }) => type === "token");
    expect(
      merged.map((one) => one.type === "token" && [one.from ?? one.seq, one.seq, one.content]),
    ).toEqual([
      [1, 2, attempt.slice(0, 2).join("")],
      ...[2, 3, 4].map((at) => [at + 1, at + 1, attempt[at]]),
      [6, 7, attempt.slice(5).join("")],
    ]);
  });
});
