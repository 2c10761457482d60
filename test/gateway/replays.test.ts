/** What a crowd behind the head reads of the log: read once, told to each, kept within bounds. */
import { expect, test } from "vitest";
import type { PushFrame } from "../../gateway/live/cursor.ts";
import { eventFrame } from "../../gateway/live/push-frames.ts";
import { Replays } from "../../gateway/live/replays.ts";
import { SharedJson } from "../../gateway/live/shared-json.ts";
import { type Commit, empty_head, type Head, headOf } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import { all, draft, newRef } from "../streams/system.ts";

const ref = newRef();

/** A log whose commits say what a test wants, and that counts what is read of it. */
function madeLog() {
  const commits: Commit[] = [];
  const counted = { reads: 0, commits: 0, atOnce: 0, most: 0 };
  return {
    commits,
    counted,
    append(text: string): void {
      const before = commits.at(-1);
      const head = before === undefined ? empty_head : headOf(before);
      const said = event("message.added", { message: "m", parent: null, role: "user", text });
      commits.push({
        ...draft(ref, [said]),
        ...{ revision: head.revision + 1, sequence: head.sequence + 1, prev: head.hash },
        ...{ hash: `${head.sequence + 1}`, erased: false },
      });
    },
    async *read(_ref: unknown, after: Head): AsyncGenerator<Commit> {
      counted.reads++;
      counted.most = Math.max(counted.most, ++counted.atOnce);
      try {
        const end = commits.length;
        for (const commit of commits.slice(0, end)) {
          if (commit.revision <= after.revision) continue;
          await new Promise((resolve) => setImmediate(resolve));
          counted.commits++;
          yield commit;
        }
      } finally {
        counted.atOnce--;
      }
    },
  };
}

test("I6: I11: a crowd is told all that was there when each asked, read of the log a few times", async () => {
  const log = madeLog();
  const text = "x".repeat(limits.replay_piece_chars / 10);
  for (let n = 0; n < 45; n++) log.append(text);
  const replays = new Replays(log);
  const heads = [empty_head, ...log.commits.map(headOf)];
  // From everywhere, some of them while others read and while there comes more.
  const readers = Array.from({ length: 200 }, async (_, n) => {
    for (let turn = 0; turn < n / 4; turn++) await replays.turn();
    const base = heads[n % heads.length] ?? empty_head;
    const there = log.commits.length;
    if (n % 50 === 0) log.append("more");
    const told = await all(replays.read(ref, base));
    expect(told.length).toBeGreaterThanOrEqual(there - base.revision);
    expect(told.map(({ revision }) => revision)).toEqual(
      told.map((_one, index) => base.revision + 1 + index),
    );
    return told.length;
  });
  const told = (await Promise.all(readers)).reduce((sum, count) => sum + count, 0);
  expect(told).toBeGreaterThan(4_000);
  expect(log.counted.commits).toBeLessThan(told / 3);
  expect(log.counted.most).toBe(2);
});

test("I11: what is kept for others is bounded, and forgotten with its room", async () => {
  const log = madeLog();
  const text = "x".repeat(limits.replay_piece_chars);
  const pieces = limits.replays_chars_max / limits.replay_piece_chars;
  for (let n = 0; n < 2 * pieces; n++) log.append(text);
  const replays = new Replays(log);
  const readAll = async (): Promise<number> => {
    const before = log.counted.commits;
    await all(replays.read(ref, empty_head));
    return log.counted.commits - before;
  };
  expect(await readAll()).toBe(2 * pieces);
  // The oldest are gone when they are asked for again, and so on.
  expect(await readAll()).toBe(2 * pieces);
  log.commits.length = pieces - 2;
  expect(await readAll()).toBe(pieces - 2);
  expect(await readAll()).toBe(0);
  replays.forget(ref);
  expect(await readAll()).toBe(pieces - 2);
});

test("the log's failure is told to all who wait for it, and the next one asks anew", async () => {
  let away = true;
  const log = madeLog();
  log.append("one");
  const replays = new Replays({
    read(of, after) {
      if (away) throw new Error("away");
      return log.read(of, after);
    },
  });
  const two = [all(replays.read(ref, empty_head)), all(replays.read(ref, empty_head))];
  for (const one of await Promise.allSettled(two)) expect(one.status).toBe("rejected");
  away = false;
  expect(await all(replays.read(ref, empty_head))).toHaveLength(1);
});

test("I11: the JSON of a long frame is kept for the third reader, and only so much of it", () => {
  const json = new SharedJson();
  const frame = (revision: number, chars: number): PushFrame => {
    const text = "x".repeat(chars);
    const said = event("message.added", { message: "m", parent: null, role: "user", text });
    return eventFrame(ref.id, revision, "", said);
  };
  expect([1, 2, 3].map(() => json.of(ref, frame(1, 10)))).toEqual([null, null, null]);
  expect(json.of(ref, frame(2, 5_000))).toBe(null);
  const second = json.of(ref, frame(2, 5_000));
  expect(JSON.parse(Buffer.from(second ?? []).toString())).toEqual(frame(2, 5_000));
  expect(json.of(ref, frame(2, 5_000))).toBe(second);
  expect(json.of(newRef("globex"), frame(2, 5_000))).toBe(null);
  json.forget(ref);
  expect(json.of(ref, frame(2, 5_000))).toBe(null);
  const long = limits.shared_json_bytes_max / 4;
  for (let revision = 3; revision < 9; revision++) {
    json.of(ref, frame(revision, long));
    expect(json.of(ref, frame(revision, long))).not.toBe(null);
  }
  expect(json.of(ref, frame(3, long))).toBe(null);
  expect(json.of(ref, frame(8, long))).not.toBe(null);
});
