/** An answer's frames and checkpoints, by a clock that the test moves. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkpointing } from "../../actors/conversation/checkpoints.ts";
import { FrameWriter, type Part } from "../../actors/conversation/frames.ts";
import { limits } from "../../schemas/limits.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { steppedClock } from "./stepped-clock.ts";

function open() {
  const clock = steppedClock();
  const frames: TokenFrame[] = [];
  const writer = new FrameWriter({ turn: "t", attempt: 2 }, clock, (frame) => frames.push(frame));
  return { clock, frames, writer, texts: () => frames.map(({ d }) => d) };
}

test("the first text goes out at once, then what gathers in the flush time", () => {
  const { clock, writer, texts, frames } = open();
  clock.step(100);
  writer.write("He");
  expect(texts()).toEqual(["He"]);
  writer.write("l");
  clock.step(limits.flush_ms - 1);
  writer.write("lo");
  expect(texts()).toEqual(["He"]);
  clock.step(1);
  expect(texts()).toEqual(["He", "llo"]);
  expect(frames[1]).toEqual({ t: "t", a: 2, s: 2, d: "llo" });
  expect(writer.published().frames).toEqual({ lengths: [2, 3], times: [100, limits.flush_ms] });
});

test("I5: whatever is written in whatever steps, the frames are the text, and none splits a pair", () => {
  const piece = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("😀", "\ud83d", "\ude00", "a😀b", "x".repeat(limits.token_frame_chars_max)),
  );
  const steps = fc.array(fc.tuple(piece, fc.nat(30), fc.constantFrom("", "hold", "check")));
  fc.assert(
    fc.property(steps, (written) => {
      const { clock, writer, texts } = open();
      const parts: Part[] = [];
      const check = (): void => {
        const part = writer.checkpoint();
        if (part !== null) parts.push(part);
      };
      for (const [text, ms, what] of written) {
        if (what === "hold") writer.hold("ending");
        writer.write(text);
        const before = texts().length;
        clock.step(ms);
        if (what === "hold") {
          expect(texts()).toHaveLength(before);
          writer.release("ending");
        }
        if (what === "check") check();
      }
      writer.end();
      check();
      const whole = written.map(([text]) => text).join("");
      expect(texts().join("")).toBe(whole);
      expect(writer.published()).toMatchObject({ text: whole, seq: texts().length });
      expect(writer.published().frames.lengths).toEqual(texts().map(({ length }) => length));
      for (const [index, text] of texts().entries()) {
        expect(text.length).toBeLessThanOrEqual(limits.token_frame_chars_max);
        const next = texts()[index + 1];
        const high =
          /[\ud800-\udbff]$/.test(text) && next !== undefined && /^[\udc00-\udfff]/.test(next);
        expect(high).toBe(false);
      }
      // Checkpoints are the same text again, without a gap.
      expect(parts.map(({ text }) => text).join("")).toBe(whole);
      expect(parts.flatMap(({ frames }) => frames.lengths)).toEqual(
        writer.published().frames.lengths,
      );
      let last = 0;
      for (const { first, seq } of parts) {
        expect(first).toBe(last + 1);
        last = seq;
      }
    }),
  );
});

test("an answer is checkpointed after 2 s, then every 5 s, and after 8,192 characters", async () => {
  const { clock, writer } = open();
  const at: number[] = [];
  const checkpoints = checkpointing(writer, clock, async () => void at.push(clock.now()));
  const say = async (text: string): Promise<void> => {
    writer.write(text);
    checkpoints.look();
    await checkpoints.settled();
  };
  await say("a");
  for (let second = 0; second < 12; second++) {
    clock.step(1_000);
    await say("b");
  }
  expect(at).toEqual([2_000, 7_000, 12_000]);
  clock.step(limits.flush_ms);
  await say("c".repeat(limits.checkpoint_chars_max));
  clock.step(limits.flush_ms);
  await say("d");
  expect(at).toHaveLength(4);
});

test("I5: frames run ahead of the log by at most one checkpoint, however long its append takes", async () => {
  const { clock, writer, texts } = open();
  const stored: (() => void)[] = [];
  const parts: Part[] = [];
  const checkpoints = checkpointing(writer, clock, (part) => {
    parts.push(part);
    return new Promise((resolve) => stored.push(resolve));
  });
  const say = (text: string): void => {
    writer.write(text);
    checkpoints.look();
    clock.step(limits.flush_ms);
  };
  say("a");
  clock.step(limits.checkpoint_first_ms);
  expect(parts).toHaveLength(1);
  say("b");
  clock.step(limits.checkpoint_every_ms); // the next is due, and the first is not stored yet
  const shown = texts().length;
  say("c");
  clock.step(60_000);
  expect(texts()).toHaveLength(shown);
  stored[0]?.();
  await Promise.resolve();
  await Promise.resolve();
  expect(texts().join("")).toBe("abc");
  expect(parts.map(({ text }) => text)).toEqual(["a", "bc"]);
});
