/** A deletion erases its conversation's content everywhere, whoever dies on the way. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import {
  deadFilter,
  deadSubject,
  feedFilter,
  kvKey,
  storedCommandFilter,
  timerFilter,
  tokenSubject,
} from "../../schemas/subjects.ts";
import { openSnapshots } from "../../streams/log/snapshots.ts";
import { signal } from "../streams/system.ts";
import { startWorld, type World } from "./worker.ts";

/** Of a busy machine. */
let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

const places = (ref: ActorRef): readonly (readonly [stream: string, filter: string])[] => [
  ["TOKENS", tokenSubject(ref)],
  ["FEED", feedFilter(ref)],
  ["DEAD", deadFilter(ref)],
  ["COMMANDS", timerFilter(ref)],
  ["KV_SNAPSHOTS", `$KV.SNAPSHOTS.${kvKey(ref)}`],
];

/** The streams that hold something of an actor beside the log and the queue. */
async function holding(ref: ActorRef): Promise<string[]> {
  const { jsm } = world.system.streams;
  const found: string[] = [];
  for (const [stream, filter] of places(ref)) {
    const { state } = await jsm.streams.info(stream, { subjects_filter: filter });
    if (Object.keys(state.subjects ?? {}).length > 0) found.push(stream);
  }
  const blobs = await jsm.streams.info("OBJ_BLOBS", { subjects_filter: "$O.BLOBS.C.*" });
  if (Object.keys(blobs.state.subjects ?? {}).length > 0) found.push("BLOBS");
  return found;
}

const waiting = async (ref: ActorRef): Promise<number> => {
  const { jsm } = world.system.streams;
  const filter = storedCommandFilter(ref);
  const { state } = await jsm.streams.info("COMMANDS", { subjects_filter: filter });
  return Object.keys(state.subjects ?? {}).length;
};

test("a deletion takes what lies beside the log, and nothing of any other conversation", async () => {
  const worker = await world.worker();
  const { js } = world.system.streams;
  const snapshots = await openSnapshots(world.system.streams, {
    code: "x",
    report: () => undefined,
  });
  const [talk, other] = [await world.talk(), await world.talk()];
  for (const { ref, command, event } of [talk, other]) {
    await command("send", { text: "hello" });
    await event("turn.completed");
    await js.publish(deadSubject("commands", ref), "what was written");
    await js.publish(`feed.${ref.tenant}.turn.completed.${ref.id}`, "what was answered");
  }
  // Too large for its bucket, so it lies among the blobs.
  const state = "x".repeat(limits.snapshot_kv_bytes_max + 1);
  const head = { revision: 1, sequence: 1, hash: "" };
  const stored = world.snapshotStored(talk.ref);
  snapshots.save(talk.ref, { head, state, commits: [] });
  await stored;
  const small = world.snapshotStored(other.ref);
  snapshots.save(other.ref, { head, state: "small", commits: [] });
  await small;
  const all = ["TOKENS", "FEED", "DEAD", "COMMANDS", "KV_SNAPSHOTS", "BLOBS"];
  await expect.poll(() => holding(talk.ref)).toEqual(all);

  await talk.command("delete", {});
  await expect.poll(() => waiting(talk.ref)).toBe(0);
  expect(await holding(talk.ref)).toEqual([]);
  expect(await holding(other.ref)).toEqual(all.slice(0, -1));
  expect(await world.system.vault.erased(talk.ref)).toBe(true);
  expect(await world.system.vault.erased(other.ref)).toBe(false);
  expect((await other.log()).find(({ type }) => type === "message.added")?.data).toMatchObject({
    text: "hello",
  });
  expect((await talk.log()).find(({ type }) => type === "message.added")?.data).toMatchObject({
    text: "",
  });
  expect(worker.problems).toEqual([]);
});

test("I1, I7: a worker that dies between the deletion and the erasure is followed by one that erases", async () => {
  const begun = signal<ActorRef>();
  const first = await world.worker({
    erase(ref) {
      begun.reach(ref);
      return new Promise(() => undefined);
    },
  });
  const talk = await world.talk();
  await talk.command("send", { text: "hello" });
  await talk.event("turn.completed");
  expect(await talk.command("delete", {})).toMatchObject({ ok: true });
  expect(await begun.reached).toEqual(talk.ref);
  expect(await world.system.vault.erased(talk.ref)).toBe(false);
  // Its message is held until the erasure is done.
  expect(await waiting(talk.ref)).toBe(1);
  await first.crash();
  const second = await world.worker();
  await expect.poll(() => waiting(talk.ref)).toBe(0);
  expect(await world.system.vault.erased(talk.ref)).toBe(true);
  expect(await holding(talk.ref)).toEqual([]);
  expect(second.problems).toEqual([]);
});
