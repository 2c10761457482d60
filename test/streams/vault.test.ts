/** Content keys: sealed content is readable with its actor's key alone, and gone for ever without. */
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { empty_head } from "../../schemas/commit.ts";
import { kvKey } from "../../schemas/subjects.ts";
import { openVault } from "../../streams/content/vault.ts";
import { all, draft, newRef, said, startSystem, type System, titled } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

const raw = async (key: string): Promise<Uint8Array | undefined> => {
  const query = { last_by_subj: `$KV.KEYS.${key}` };
  return (await system.streams.jsm.streams.getMessage("KV_KEYS", query))?.data;
};

test("one key is made for an actor, by whoever comes first", async () => {
  const ref = newRef();
  const others = await Promise.all([system.client(), system.client(), system.client()]);
  expect(await system.vault.key(ref, false)).toBeNull();
  const keys = await Promise.all(
    [system, ...others].flatMap(({ vault }) => [vault.key(ref, true), vault.key(ref, true)]),
  );
  const [first] = keys;
  expect(first?.export()).toHaveLength(32);
  for (const key of keys) expect(key && first?.equals(key)).toBe(true);
  expect(system.vault.cached(ref)).toBe(await system.vault.key(ref, false));
  expect(await raw(kvKey(ref))).toHaveLength(12 + 32 + 16);
});

test("an erased actor reads as blanks, everywhere, and its line still verifies", async () => {
  const ref = newRef();
  const other = await system.client();
  const first = await system.log.append(draft(ref, [said("to be forgotten")]), empty_head);
  if (!first.ok) throw new Error("conflict");
  expect(await all(other.log.read(ref, empty_head))).toMatchObject([{ erased: false }]);
  await system.vault.erase(ref);
  await system.vault.erase(ref);
  await expect.poll(() => other.vault.cached(ref), { interval: 5 }).toBeNull();
  const later = await other.log.append(draft(ref, [titled("after"), said("the end")]), first.head);
  expect(later.ok).toBe(true);
  for (const { log } of [system, other, await system.client()]) {
    const commits = await all(log.read(ref, empty_head));
    expect(commits.map(({ erased }) => erased)).toEqual([true, true]);
    expect(commits.flatMap(({ events }) => events.map(({ data }) => data))).toMatchObject([
      { text: "", role: "user" },
      { title: "", source: "user" },
      { text: "" },
    ]);
  }
  expect(await system.vault.key(ref, true)).toBeNull();
});

test("an erased key does not lie on the disk any more", async () => {
  const ref = newRef();
  await system.vault.key(ref, true);
  const wrapped = Buffer.from((await raw(kvKey(ref))) ?? []);
  const folder = join(system.server.dir, "jetstream");
  const onDisk = (): boolean =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile())
      .some((file) => readFileSync(join(file.parentPath, file.name)).includes(wrapped));
  await expect.poll(onDisk).toBe(true);
  await system.vault.erase(ref);
  await expect.poll(onDisk).toBe(false);
});

test("another master key is refused at once", async () => {
  await expect(openVault(system.streams, randomBytes(32))).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("COLLOQUY_MASTER_KEY") as string,
  });
  await expect(openVault(system.streams, randomBytes(16))).rejects.toBeInstanceOf(TypeError);
});

test("a box that was moved to another commit does not open", async () => {
  const ref = newRef();
  const first = await system.log.append(draft(ref, [said("one")]), empty_head);
  if (!first.ok) throw new Error("conflict");
  const second = await system.log.append(draft(ref, [said("two")]), first.head);
  if (!second.ok) throw new Error("conflict");
  const read = async (seq: number): Promise<Record<string, unknown>> => {
    const message = await system.streams.jsm.streams.getMessage("EVENTS", { seq });
    return JSON.parse(message?.string() ?? "") as Record<string, unknown>; // our own commit
  };
  const { sealed } = await read(first.head.sequence);
  const moved = { ...(await read(second.head.sequence)), sealed };
  const { seq } = await system.streams.js.publish(`evt.${kvKey(ref)}`, JSON.stringify(moved));
  await expect(system.log.at(seq)).rejects.toThrow("does not open");
});
