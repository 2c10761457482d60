/** Snapshots on a real server: what is stored comes back, and whatever is wrong costs only time. */
import { Objm } from "@nats-io/obj";
import { afterAll, beforeAll, expect, test } from "vitest";
import { empty_head } from "../../schemas/commit.ts";
import { limits } from "../../schemas/limits.ts";
import { kvKey } from "../../schemas/subjects.ts";
import { openSnapshots, type Snapshot, type Snapshots } from "../../streams/log/snapshots.ts";
import { all, draft, newRef, said, startSystem, type System } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

const problems: string[] = [];
const open = (code = "one"): Promise<Snapshots> =>
  openSnapshots(system.streams, { code, report: ({ what }) => problems.push(what) });

const snapshot = (size = 10): Snapshot => ({
  head: { revision: 7, sequence: 4, hash: "a".repeat(64) },
  state: { text: "s".repeat(size) },
  commits: [
    ["c1", 3, 2],
    ["c2", 7, 4],
  ],
});

/** Resolves when the bucket's stream has taken one more message. */
async function stored(ref: ReturnType<typeof newRef>, save: () => void): Promise<void> {
  const { nc } = system.streams;
  const subject = `$KV.SNAPSHOTS.${kvKey(ref)}`;
  const seen = nc.subscribe(subject, { max: 1 });
  await nc.flush();
  save();
  for await (const _message of seen);
  await nc.flush();
}

test("I4: a snapshot comes back as it was stored, small or large, and the last one counts", async () => {
  const snapshots = await open();
  const ref = newRef();
  expect(await snapshots.load(ref)).toBe(null);
  for (const size of [10, limits.snapshot_kv_bytes_max + 1, 3 * 1024 * 1024, 20]) {
    await stored(ref, () => snapshots.save(ref, snapshot(size)));
    await expect.poll(() => snapshots.load(ref)).toEqual({ code: "one", ...snapshot(size) });
  }
  const objects = await (await new Objm(system.streams.js).open("BLOBS", false)).list();
  expect(objects).toHaveLength(1);
});

test("I4: what another version of the code has made is not given out", async () => {
  const [old, young] = [await open("old"), await open("young")];
  for (const size of [10, limits.snapshot_kv_bytes_max + 1]) {
    const ref = newRef();
    await stored(ref, () => old.save(ref, snapshot(size)));
    await expect.poll(() => old.load(ref)).not.toBe(null);
    expect(await young.load(ref)).toBe(null);
    await stored(ref, () => young.save(ref, snapshot(size)));
    await expect.poll(() => young.load(ref)).not.toBe(null);
    expect(await old.load(ref)).toBe(null);
  }
});

test("I4: damage, a missing blob and a bucket that is gone are no snapshot, said once", async () => {
  const snapshots = await open();
  const { js, jsm } = system.streams;
  const ref = newRef();
  await js.publish(`$KV.SNAPSHOTS.${kvKey(ref)}`, "{");
  expect(await snapshots.load(ref)).toBe(null);
  await js.publish(`$KV.SNAPSHOTS.${kvKey(ref)}`, JSON.stringify({ code: "one", blob: "none" }));
  expect(await snapshots.load(ref)).toBe(null);
  await jsm.streams.delete("KV_SNAPSHOTS");
  problems.length = 0;
  expect(await snapshots.load(ref)).toBe(null);
  expect(problems.length).toBeLessThanOrEqual(1);
});

test("I3: a tail is read only behind the very commit that stands in the log", async () => {
  const { log } = system;
  const ref = newRef();
  const one = await log.append(draft(ref, [said("one")]), empty_head);
  if (!one.ok) throw new Error("not appended");
  const { head } = one;
  expect(await all(log.read(ref, head))).toEqual([]);
  const other = { ...head, hash: "b".repeat(64) };
  await expect(all(log.read(ref, other))).rejects.toThrow(/another commit stands there/);
  const ahead = { ...head, sequence: head.sequence + 1 };
  await expect(all(log.read(ref, ahead))).rejects.toThrow(/ends before it/);
  await log.append(draft(ref, [said("two")]), head);
  await expect(all(log.read(ref, other))).rejects.toThrow(/names another commit/);
});
