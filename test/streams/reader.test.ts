/** Reading the whole log: in arrays, in order, no faster than it is taken, with keys asked for together. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { empty_head } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { eventSubject } from "../../schemas/subjects.ts";
import { pullEvents } from "../../streams/log/pulls.ts";
import { readAside } from "../../streams/log/reader-aside.ts";
import { type Logged, readBatches } from "../../streams/log/reader.ts";
import { Recent } from "../../streams/log/recent.ts";
import { all, draft, master_key, newRef, said, startSystem, type System } from "./system.ts";

/** A loaded machine is slow. */
const looks = { interval: 10 };
const archived = event("conversation.archived", {});

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

const consumers = async () => system.streams.jsm.consumers.list("EVENTS").next();

test("I11: a reader that takes nothing holds a bounded part of the log, and then all comes", async () => {
  const { streams } = system;
  const total = 3_000;
  for (let n = 0; n < total; n++) streams.nc.publish(eventSubject(newRef()), `${n}`);
  await expect.poll(() => system.log.lastSequence(), looks).toBe(total);
  const pulling = await pullEvents(streams, 0);
  const undelivered = async (): Promise<number> => (await consumers())[0]?.num_pending ?? 0;
  await expect.poll(undelivered, looks).toBe(total - 2_048);
  await streams.nc.flush();
  expect(await undelivered()).toBe(total - 2_048);
  const taken: string[] = [];
  while (taken.length < total) {
    const some = await pulling.take(700);
    expect(some.length).toBeLessThanOrEqual(700);
    expect(some.map(({ sequence }) => sequence)).toEqual(
      some.map((_, at) => taken.length + at + 1),
    );
    taken.push(...some.map(({ message }) => message.string()));
  }
  expect(taken).toEqual(Array.from({ length: total }, (_, n) => `${n}`));
  pulling.stop();
  expect(await pulling.take(1)).toEqual([]);
  await expect.poll(async () => (await consumers()).length, looks).toBe(0);
});

test("arrays end with the last sequence that was asked for, hashed as one by one", async () => {
  const { log } = system;
  const after = await log.lastSequence();
  const refs = Array.from({ length: 40 }, newRef);
  const traceparent = `00-${"a1".repeat(16)}-${"b2".repeat(8)}-01`;
  for (const [at, ref] of refs.entries()) {
    const trace = at % 10 === 5 ? traceparent : null;
    await log.append({ ...draft(ref, [said(`of ${at}`)]), traceparent: trace }, empty_head);
  }
  await system.vault.erase(refs[7] ?? newRef());
  const read = async (hashes: "all" | "last"): Promise<(readonly Logged[])[]> => {
    const { streams, vault } = await system.client();
    const { signal } = new AbortController();
    const batches = [];
    const options = { after, until: after + 30, signal, hashes };
    for await (const batch of readBatches(streams, vault, options)) batches.push(batch);
    return batches;
  };
  const all = (await read("all")).flat();
  expect(all.map((one) => ("erased" in one ? one.erased : null))).toEqual(
    refs.slice(0, 30).map((_, at) => at === 7),
  );
  expect(all.map(({ ref }) => ref)).toEqual(refs.slice(0, 30));
  expect(all.map((one) => ("events" in one ? one.traceparent : ""))).toEqual(
    refs.slice(0, 30).map((_, at) => (at % 10 === 5 ? traceparent : null)),
  );
  expect(all[3]?.hash).toBe(await log.hashAt(after + 4));
  for (const batch of await read("last")) {
    expect(batch.at(-1)?.hash).toBe(all[(batch.at(-1)?.sequence ?? 0) - after - 1]?.hash);
    for (const one of batch.slice(0, -1)) expect(one.hash).toBe("");
  }
});

test("a reader that is ended while its consumer is made ends, and leaves none behind", async () => {
  const { streams, vault, log } = system;
  const after = await log.lastSequence();
  const ending = new AbortController();
  const { consumers: made } = streams.jsm;
  const add: typeof made.add = async (...what) => {
    const info = await made.add(...what);
    ending.abort();
    return info;
  };
  // The client as it is, but for this one way.
  const consumersOf = Object.create(made, { add: { value: add } }) as typeof made;
  const jsm = Object.create(streams.jsm, {
    consumers: { value: consumersOf },
  }) as typeof streams.jsm;
  const reading = readBatches({ ...streams, jsm }, vault, { after, signal: ending.signal });
  expect(await reading.next()).toEqual({ done: true, value: undefined });
  await expect.poll(async () => (await consumers()).length, looks).toBe(0);
});

test("a thread aside makes of the log what is made of it here", async () => {
  const { log, streams } = system;
  const after = await log.lastSequence();
  const refs = Array.from({ length: 700 }, newRef);
  for (const [at, ref] of refs.entries()) {
    const traceparent = at === 3 ? `00-${"a1".repeat(16)}-${"b2".repeat(8)}-01` : null;
    const happened = at % 3 === 0 ? archived : said(`of ${at}, größer als 世界 🙂`);
    await log.append({ ...draft(ref, [happened]), traceparent }, empty_head);
  }
  await system.vault.erase(refs[7] ?? newRef());
  const of = refs[4] ?? newRef();
  const stored = (await streams.jsm.streams.getMessage("EVENTS", { seq: after + 2 }))?.string();
  // Nonsense, another's box, a box in another place, and an event that nobody knows.
  for (const [ref, text] of [
    [newRef(), "{}"],
    [of, stored?.replaceAll(refs[1]?.id ?? "", of.id)],
    [refs[1] ?? of, stored?.replace(/^\{(.*),("sealed":"[^"]*")\}$/, "{$2,$1}")],
    [of, stored?.replaceAll(refs[1]?.id ?? "", of.id).replace("message.added", "message.sung")],
  ] as const) {
    await streams.js.publish(eventSubject(ref), text ?? "");
  }
  const until = after + 704;
  const { signal } = new AbortController();
  const client = await system.client();
  for (const hashes of ["all", "last"] as const) {
    const options = { after, until, signal, hashes: "all" } as const;
    const here = (await all(readBatches(client.streams, client.vault, options))).flat();
    const access = { url: system.server.url, masterKey: master_key };
    const aside = (await all(readAside(access, { ...options, hashes }))).flat();
    expect(here).toHaveLength(704);
    const bare = (one: Logged): Logged => ({ ...one, hash: "" });
    expect(aside.map(bare)).toEqual(here.map(bare));
    expect(aside.at(-1)?.hash).toBe(here.at(-1)?.hash);
    if (hashes === "all") expect(aside).toEqual(here);
    expect(here.filter((one) => "undecodable" in one).map(({ sequence }) => sequence)).toEqual([
      ...[after + 701, after + 702, after + 704],
    ]);
  }
  await expect.poll(async () => (await consumers()).length, looks).toBe(0);
});

test("a thread aside ends with its reader, and reads no further than it is told", async () => {
  const access = { url: system.server.url, masterKey: master_key };
  const until = await system.log.lastSequence();
  const abort = new AbortController();
  for await (const batch of readAside(access, { after: 0, until, signal: abort.signal })) {
    expect(batch[0]?.sequence).toBe(1);
    await expect.poll(async () => (await consumers()).length, looks).toBe(1);
    abort.abort();
  }
  for await (const _ of readAside(access, {
    after: 0,
    until,
    signal: new AbortController().signal,
  })) {
    break;
  }
  await expect.poll(async () => (await consumers()).length, looks).toBe(0);
  const wrong = { ...access, masterKey: Buffer.alloc(32, 1) };
  const reading = all(readAside(wrong, { after: 0, until, signal: new AbortController().signal }));
  await expect(reading).rejects.toThrow("COLLOQUY_MASTER_KEY");
});

test("keys that are asked for together are those that are asked for one by one", async () => {
  const made = Array.from({ length: 600 }, newRef);
  await Promise.all(made.map((ref) => system.vault.key(ref, true)));
  const [erased = newRef()] = made;
  await system.vault.erase(erased);
  const refs: ActorRef[] = [...made, newRef()];
  const [one, other] = [await system.client(), await system.client()];
  const together = await one.vault.keys(refs);
  expect(together.size).toBe(refs.length);
  for (const ref of refs) {
    const [key, alone] = [together.get(refKey(ref)), await other.vault.key(ref, false)];
    expect(alone === null ? key === null : key?.equals(alone)).toBe(true);
    expect(one.vault.cached(ref)).toBe(ref === refs.at(-1) ? undefined : key);
  }
  expect(together.get(refKey(erased))).toBeNull();
});

test("I11: what was used of late is remembered, and no more than so much", () => {
  const recent = new Recent<number>(4);
  for (let n = 0; n < 100; n++) {
    recent.set(`${n}`, n);
    expect(recent.get("0")).toBe(0);
  }
  const kept = Array.from({ length: 100 }, (_, n) => recent.get(`${n}`)).filter(
    (one) => one !== undefined,
  );
  expect(kept.length).toBeLessThanOrEqual(4);
  expect(kept).toContain(0);
  expect(kept).toContain(99);
});
