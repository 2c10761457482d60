/** An actor on a real nats-server that is loaded from its snapshot, and one that is not. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { startWorld, type Talk, type World } from "./worker.ts";

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

/** A conversation with so long a history that a snapshot of it was taken. */
async function longTalk(): Promise<Talk> {
  const talk = await world.talk();
  await talk.command("send", { text: "begin" });
  await talk.event("turn.completed");
  const stored = world.snapshotStored(talk.ref);
  for (let at = 0; at < limits.snapshot_events; at++) {
    await talk.command("update", { title: `title ${at}` });
  }
  await stored;
  return talk;
}

test("I4: with a snapshot the tail is read and not the history, and every old command is known", async () => {
  const first = await world.worker();
  const talk = await longTalk();
  const early = await talk.command("update", { title: "known" });
  await first.stop();

  const second = await world.worker();
  const again = await talk.command("send", { text: "go on" });
  expect(again).toMatchObject({ ok: true });
  await talk.event("turn.completed");
  expect(second.read.length).toBeGreaterThan(0);
  expect(second.read.length).toBeLessThan(limits.snapshot_events / 2);
  const { body } = await world.provider.whenRequest(2);
  expect(body.messages.map(({ content }) => content)).toEqual([
    "begin",
    expect.any(String),
    "go on",
  ]);
  // What was decided before the snapshot is answered as it was then.
  const commits = talk.commits.filter(({ command }) => command === early.command);
  expect(commits).toHaveLength(1);
  expect(await talk.command("update", { title: "other" }, early.command)).toEqual(early);
  expect(second.problems).toEqual([]);
});

test("I4: without the bucket, or with a snapshot that the log does not know, the history is read", async () => {
  const first = await world.worker();
  const talk = await longTalk();
  await first.stop();
  const before = await talk.log();
  await world.forgeSnapshot(talk.ref);

  const second = await world.worker();
  await talk.command("update", { title: "after the forgery" });
  expect(second.read.length).toBeGreaterThan(limits.snapshot_events);
  expect(second.problems).toEqual([expect.stringContaining("a snapshot does not fit the log")]);
  await second.stop();

  await world.system.streams.jsm.streams.delete("KV_SNAPSHOTS");
  const third = await world.worker();
  await talk.command("update", { title: "after the loss" });
  expect(third.read.length).toBeGreaterThan(limits.snapshot_events);
  expect(await talk.log()).toHaveLength(before.length + 2);
});
