/** The list of erasures: kept outside of what a backup brings back, and applied to it again. */
import { appendFileSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  appliedOf,
  lineOf,
  markOf,
  missingIn,
  openErasureList,
  parseErasures,
  readErasures,
} from "../../cli/erasures/erasure-list.ts";
import {
  eraseListed,
  openErasures,
  type Place,
  rememberOthers,
} from "../../cli/erasures/erasing.ts";
import type { Commit } from "../../schemas/commit.ts";
import { empty_head } from "../../schemas/commit.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { readMark, writeMark } from "../../streams/content/erasure-mark.ts";
import { type Deletion, readDeletions } from "../../streams/content/erasure.ts";
import { startWorld, type World } from "../actors/worker.ts";
import { all, draft, newRef, said, secret } from "../streams/system.ts";
import { temporary } from "../support/services.ts";
import { colloquy } from "../system/serve.ts";

let folder: string;
beforeEach(() => {
  folder = temporary("erasures");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const deletion = (ref: ActorRef = newRef(), sequence = 7): Deletion => ({
  ...{ ref, sequence, at: "2026-11-21T11:00:00.000Z" },
});
const text = (): string => readErasures(folder).toString();

test("a list is read as it was written, whatever a crash or a hand has done to single lines", async () => {
  const [one, two, three] = [deletion(), deletion(), deletion()];
  const list = openErasureList(folder);
  await Promise.all([list.remember(one), list.remember(two)]);
  expect(parseErasures(text())).toEqual({ erasures: [one, two], unreadable: [] });
  appendFileSync(join(folder, "erasures"), lineOf(three).slice(0, 40));
  await openErasureList(folder).remember(three);
  expect(parseErasures(text())).toEqual({ erasures: [one, two, three], unreadable: [3] });
  const wrong = [
    `${lineOf(one)} more`,
    lineOf(one).replace("acme", "A*"),
    lineOf(one).replace("conversation", "secret"),
    lineOf(one).replace("2026", "when"),
    lineOf(one).replace(" 7", " -7"),
  ];
  expect(parseErasures(wrong.join("\n"))).toEqual({ erasures: [], unreadable: [1, 2, 3, 4, 5] });
  expect(missingIn([one], [one, two])).toEqual([two]);
});

test("a mark covers what stood in the list, unless the list or the log is another", () => {
  const list = Buffer.from("one\ntwo\n");
  const longer = Buffer.concat([list, Buffer.from("three\n")]);
  const mark = markOf(list, 10);
  expect(appliedOf(mark, list, 10)).toBe(8);
  expect(appliedOf(mark, longer, 12)).toBe(8);
  for (const [other, end] of [
    [longer, 9],
    [Buffer.from("one\n"), 10],
    [Buffer.from("one\nTWO\nthree\n"), 10],
  ] as const) {
    expect(appliedOf(mark, other, end)).toBe(0);
  }
  expect(appliedOf("", list, 10)).toBe(0);
  expect(appliedOf("nonsense", list, 10)).toBe(0);
});

test.each([
  [{}, "There is no log in"],
  [{ NATS_URL: "nats://127.0.0.1:1" }, "NATS_URL names another server"],
])("a compaction with %j says in one sentence why it cannot", async (env, why) => {
  const { code, out, err } = await colloquy(["doctor", "--compact"], { folder, env });
  expect([code, out, err.trim().split("\n")]).toEqual([1, "", [expect.stringContaining(why)]]);
});

test.each([
  [["erasures", "lits"], 2, "did you mean list?"],
  [["erasures", "apply"], 2, "apply needs the file of a list"],
  [["erasures", "apply", "/nowhere/at-all"], 1, "/nowhere/at-all cannot be read"],
])("colloquy %j is refused with one sentence", async (words, exit, why) => {
  const { code, out, err } = await colloquy(words, { folder });
  expect([code, out, err.trim().split("\n")]).toEqual([exit, "", [expect.stringContaining(why)]]);
});

describe("on a real server", () => {
  let world: World;
  let place: Place;
  const told: string[] = [];
  const report = ({ what }: { what: string }): void => void told.push(what);
  beforeEach(async () => {
    world = await startWorld();
    place = { ...world.system, secret };
    told.length = 0;
  });
  afterEach(() => world.stop());

  const commits = (ref: ActorRef): Promise<Commit[]> => all(world.system.log.read(ref, empty_head));

  test("an erasure is remembered before it begins, once, with what the log says of it", async () => {
    const { log, vault, streams } = world.system;
    await world.worker({ erase: () => Promise.resolve() });
    const talk = await world.talk();
    await talk.command("send", { text: "hello" });
    await talk.event("turn.completed");
    await talk.command("delete", {});
    const remember = (): Promise<void> => Promise.reject(new Error("the disk is full"));
    const full = { remember, knows: () => false };
    await expect(eraseListed(place, full, talk.ref)).rejects.toThrow("the disk is full");
    expect(await vault.erased(talk.ref)).toBe(false);

    const list = openErasureList(folder);
    const stop = rememberOthers(place, list, report);
    await eraseListed(place, list, talk.ref);
    await eraseListed(place, list, talk.ref);
    stop();
    expect(await vault.erased(talk.ref)).toBe(true);
    const last = await log.last(talk.ref);
    const known = { ref: talk.ref, at: last?.at, sequence: last?.sequence };
    expect(parseErasures(text()).erasures).toEqual([known]);
    expect(await all(readDeletions(streams))).toEqual([known]);
  });

  test("what a worker without a folder erases is on the list of whoever has the folder", async () => {
    await world.worker();
    const stop = rememberOthers(place, openErasureList(folder), report);
    const talk = await world.talk();
    await talk.command("send", { text: "hello" });
    await talk.event("turn.completed");
    await talk.command("delete", {});
    await expect
      .poll(() => parseErasures(text()).erasures.map(({ ref }) => ref))
      .toEqual([talk.ref]);
    stop();
  });

  test("what a backup brings back is erased before anybody reads it, and then deleted in the log, too", async () => {
    const { log, vault } = world.system;
    // As it was restored: nothing of the deletion is known, but for the list.
    const [ref, other] = [newRef(), newRef()];
    await world.worker();
    const [talk, bystander] = [await world.talk({ ref }), await world.talk({ ref: other })];
    for (const { command, event } of [talk, bystander]) {
      await command("send", { text: "came back" });
      await event("turn.completed");
    }
    writeFileSync(join(folder, "erasures"), `${lineOf(deletion(ref, 99))}\n`);
    await openErasures(folder, place, report);
    expect(told).toEqual([expect.stringContaining("held 1 erased conversations")]);
    expect(await vault.erased(ref)).toBe(true);
    const [first] = await commits(ref);
    expect(first?.erased).toBe(true);
    await talk.event("conversation.deleted");
    const last = await log.last(ref);
    expect(last?.by).toEqual({ type: "system", id: "erasures" });
    expect((await commits(other)).some(({ erased }) => erased)).toBe(false);

    // The keys know now how far the list was applied; older keys do not.
    await openErasures(folder, place, report);
    expect(told).toHaveLength(1);
    expect(await readMark(place.streams)).toBe(
      markOf(readErasures(folder), await log.lastSequence()),
    );
    await writeMark(place.streams, "");
    await openErasures(folder, place, report);
    expect(told).toHaveLength(1);
    expect((await log.last(ref))?.sequence).toBe(last?.sequence);
  });

  test("a backup from before the conversation began takes no key for it any more", async () => {
    const ref = newRef();
    writeFileSync(join(folder, "erasures"), `torn\n${lineOf(deletion(ref))}\n`);
    await openErasures(folder, place, report);
    expect(told).toEqual([
      expect.stringContaining("held 1 erased"),
      "1 lines of the list of erasures cannot be read",
    ]);
    expect(await world.system.vault.key(ref, true)).toBeNull();
    const appended = await world.system.log.append(draft(ref, [said("again")]), empty_head);
    expect(appended.ok).toBe(true);
    expect((await commits(ref)).map(({ erased }) => erased)).toEqual([true]);
  });

  test("without a list nothing is marked, and none is made", async () => {
    await openErasures(folder, place, report);
    expect(await readMark(place.streams)).toBe("");
    expect([existsSync(join(folder, "erasures")), told]).toEqual([false, []]);
  });
});
