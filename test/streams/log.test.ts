/** I3 at the log: one line per actor, whoever writes and whatever the network does. */
import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Commit, empty_head, type Head, headOf, zero_hash } from "../../schemas/commit.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { systemIds } from "../../schemas/ids.ts";
import { eventSubject } from "../../schemas/subjects.ts";
import { BrokenChain, DamagedCommit, UnknownEvent } from "../../streams/faults.ts";
import { openLog } from "../../streams/log/log.ts";
import { all, draft, newRef, said, startSystem, type System, titled } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const stored = async (sequence: number): Promise<Uint8Array> => {
  const message = await system.streams.jsm.streams.getMessage("EVENTS", { seq: sequence });
  if (message === null) throw new Error(`nothing at ${sequence}`);
  return message.data;
};

async function appended(
  events: readonly DomainEvent[],
  ref = newRef(),
  head = empty_head,
): Promise<Head> {
  const done = await system.log.append(draft(ref, events), head);
  if (!done.ok) throw new Error("conflict");
  return done.head;
}

test("I3: a commit names the hash of the bytes before it, and content does not lie there plainly", async () => {
  const ref = newRef();
  const first = await appended([said("a very secret text")], ref);
  const second = await appended([titled("hidden title"), said("more")], ref, first);
  expect(first).toMatchObject({ revision: 1, hash: sha256(await stored(first.sequence)) });
  expect(second).toMatchObject({ revision: 3, hash: sha256(await stored(second.sequence)) });
  const bytes = Buffer.from(await stored(second.sequence)).toString();
  expect(JSON.parse(bytes)).toMatchObject({ v: 1, revision: 2, prev: first.hash, tenant: "acme" });
  expect(bytes).not.toContain("hidden");
  const [one, two] = await all(system.log.read(ref, empty_head));
  expect(one?.prev).toBe(zero_hash);
  expect(two?.events.map(({ data }) => data)).toMatchObject([
    { title: "hidden title" },
    { text: "more" },
  ]);
  expect(two && headOf(two)).toEqual(second);
  expect(await all(system.log.read(ref, second))).toEqual([]);
  expect(await system.log.last(ref)).toEqual(two);
  expect(await system.log.first(ref)).toEqual(one);
  expect(await system.log.at(first.sequence)).toEqual(one);
  expect(await system.log.lastSequence()).toBeGreaterThanOrEqual(second.sequence);
});

test("content that is empty is not content that is blank, and comes back as it was", async () => {
  // `settings` has a blank of its own kind, `{}`: what only looks like it must not be left out.
  const written = [{}, { pinned: [] }, { list: {}, "": null }, { pinned: [[]], deep: { of: [] } }];
  const ref = { tenant: "acme", kind: "account", id: systemIds() } as const;
  let head = empty_head;
  for (const settings of written) {
    head = await appended([event("settings.updated", { settings })], ref, head);
  }
  const read = await all(system.log.read(ref, empty_head));
  expect(read.map(({ events: [first] }) => first?.data)).toEqual(
    written.map((settings) => ({ settings })),
  );
  // Nothing was sealed where nothing was said: such a commit needs no key, and erasing leaves it.
  expect(read.map(({ erased }) => erased)).toEqual(written.map(() => false));
  expect(
    JSON.parse(Buffer.from(await stored(read[0]?.sequence ?? 0)).toString()),
  ).not.toHaveProperty("sealed");
  const webhook = event("webhook.changed", {
    ...{ webhook: systemIds(), url: "", types: null, secret: "", enabled: null },
  });
  const workspace = { tenant: "acme", kind: "workspace", id: systemIds() } as const;
  await appended([webhook], workspace);
  const [changed] = await all(system.log.read(workspace, empty_head));
  expect(changed?.events).toEqual([webhook]);
});

test("what does not exist is null", async () => {
  const ref = newRef();
  expect(await all(system.log.read(ref, empty_head))).toEqual([]);
  expect([await system.log.last(ref), await system.log.first(ref)]).toEqual([null, null]);
  expect([await system.log.at(0), await system.log.at(9e9)]).toEqual([null, null]);
});

const text = fc.string({ unit: "grapheme", maxLength: 40 });
const frames = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 0, max: 9 })), { maxLength: 4 })
  .map((pairs) => ({ lengths: pairs.map(([l]) => l), times: pairs.map(([, t]) => t) }));
const anyEvent: fc.Arbitrary<DomainEvent> = fc.oneof(
  text.map((title) => titled(title)),
  text.map((one) => said(one)),
  fc.constant(event("conversation.archived", {})),
  fc.tuple(text, frames).map(([one, record]) =>
    event("turn.checkpointed", {
      turn: systemIds(),
      attempt: 1,
      first: 1,
      seq: record.lengths.length,
      text: one,
      frames: record,
    }),
  ),
);

test("I3: whatever is appended reads back as it was, and its chain verifies", async () => {
  const decisions = fc.array(fc.array(anyEvent, { minLength: 1, maxLength: 4 }), {
    minLength: 1,
    maxLength: 8,
  });
  await fc.assert(
    fc.asyncProperty(decisions, async (parts) => {
      const ref = newRef();
      let head = empty_head;
      for (const events of parts) head = await appended(events, ref, head);
      const commits = await all(system.log.read(ref, empty_head));
      expect(commits.map(({ events }) => events)).toEqual(parts);
      expect(commits.at(-1) && headOf(commits.at(-1) as Commit)).toEqual(head); // there is one
      let prev = zero_hash;
      for (const commit of commits) {
        expect(commit.prev).toBe(prev);
        prev = sha256(await stored(commit.sequence));
        expect(commit).toMatchObject({ hash: prev, erased: false });
      }
    }),
    { numRuns: 40 },
  );
});

test("I3: a commit behind a head that is not the last is a conflict", async () => {
  const ref = newRef();
  const head = await appended([said("one")], ref);
  expect(await system.log.append(draft(ref, [said("late")]), empty_head)).toEqual({ ok: false });
  expect(await system.log.append(draft(ref, [said("early")]), { ...head, sequence: 9e9 })).toEqual({
    ok: false,
  });
  expect(await all(system.log.read(ref, empty_head))).toHaveLength(1);
});

test("an end that was asked for first is read to, and asked for again once others went on", async () => {
  const ref = newRef();
  const before = system.log.end(ref, true);
  expect(await before).toMatchObject({ sequence: 0 });
  // Made beside it, so that the first append finds it.
  await expect.poll(() => system.vault.cached(ref), { interval: 5 }).toBeTruthy();
  const first = await appended([said("one")], ref);
  expect(await all(system.log.read(ref, first, before))).toEqual([]);
  const end = system.log.end(ref);
  expect(await end).toEqual({ sequence: first.sequence, hash: first.hash });
  await appended([said("two")], ref, first);
  expect((await all(system.log.read(ref, empty_head, end)))[0]).toMatchObject({ revision: 1 });
  expect(await system.vault.key(newRef(), false)).toBeNull();
});

test("I3: an append that is repeated counts once and gives the head of the stored bytes", async () => {
  const ref = newRef();
  const decision = draft(ref, [said("once")]);
  const first = await system.log.append(decision, empty_head);
  // Sealed anew under another nonce, so these are other bytes; what is stored counts.
  expect(await system.log.append(decision, empty_head)).toEqual(first);
  expect(await all(system.log.read(ref, empty_head))).toHaveLength(1);
});

test("I3: an append whose answer is lost is found in the log", async () => {
  const { streams, vault } = system;
  let lost = 0;
  const deaf = openLog(
    {
      ...streams,
      js: {
        ...streams.js,
        publish: async (...args) => {
          await streams.js.publish(...args);
          lost += 1;
          throw new Error("time-out, though it landed");
        },
      },
    },
    vault,
  );
  const ref = newRef();
  const done = await deaf.append(draft(ref, [said("landed")]), empty_head);
  expect(lost).toBe(1);
  const last = await system.log.last(ref);
  expect(done).toEqual({ ok: true, head: last && headOf(last) });
});

test("I3: an append that never arrived is sent again, and one that cannot be is unavailable", async () => {
  const { streams, vault } = system;
  let swallow = 2;
  const lossy = openLog(
    {
      ...streams,
      js: {
        ...streams.js,
        publish: (...args) => {
          if (swallow-- > 0) return Promise.reject(new Error("time-out, and it is lost"));
          return streams.js.publish(...args);
        },
      },
    },
    vault,
  );
  const ref = newRef();
  expect(await lossy.append(draft(ref, [said("third")]), empty_head)).toMatchObject({ ok: true });
  swallow = 99;
  await expect(lossy.append(draft(newRef(), [said("never")]), empty_head)).rejects.toMatchObject({
    code: "unavailable",
  });
  expect(await all(system.log.read(ref, empty_head))).toHaveLength(1);
});

test("I3: two writers that race on one actor make one line, without gap or fork", async () => {
  const ref = newRef();
  const other = await system.client();
  let conflicts = 0;
  const write = async (log: System["log"], name: string): Promise<void> => {
    let head = empty_head;
    for (let done = 0; done < 100;) {
      const result = await log.append(draft(ref, [said(`${name} ${done}`), said("x")]), head);
      if (result.ok) {
        head = result.head;
        done += 1;
      } else {
        conflicts += 1;
        for await (const commit of log.read(ref, head)) head = headOf(commit);
      }
    }
  };
  await Promise.all([write(system.log, "a"), write(other.log, "b")]);
  const commits = await all(system.log.read(ref, empty_head));
  expect(commits).toHaveLength(200);
  expect(commits.map(({ revision }) => revision)).toEqual(commits.map((_, index) => 1 + 2 * index));
  for (const name of ["a", "b"]) {
    const texts = commits.flatMap(({ events }) =>
      events.map(({ data }) => ("text" in data ? data.text : "")),
    );
    const own = texts.filter((one) => one.startsWith(`${name} `));
    expect(own).toEqual(Array.from({ length: 100 }, (_, index) => `${name} ${index}`));
  }
  expect(conflicts).toBeGreaterThan(0);
});

test("I3: a long line is read in batches, to its last commit", async () => {
  const ref = newRef();
  let head = empty_head;
  for (let count = 0; count < 600; count++)
    head = await appended([titled(String(count))], ref, head);
  const commits = await all(system.log.read(ref, empty_head));
  expect(commits).toHaveLength(600);
  expect(commits.at(-1)).toMatchObject({ sequence: head.sequence, hash: head.hash });
});

test("I3: a commit that does not follow the one before it is a broken chain", async () => {
  const ref = newRef();
  const head = await appended([said("one")], ref);
  const forged = JSON.parse(Buffer.from(await stored(head.sequence)).toString());
  const put = async (change: object): Promise<void> => {
    const bytes = JSON.stringify({ ...forged, commit: systemIds(), ...change });
    await system.streams.js.publish(eventSubject(ref), bytes);
  };
  await put({ prev: "f".repeat(64), revision: 2 });
  const reading = all(system.log.read(ref, empty_head));
  await expect(reading).rejects.toBeInstanceOf(BrokenChain);
  await expect(reading).rejects.toThrow(eventSubject(ref));
  const gap = newRef();
  const behind = await appended([said("one")], gap);
  await expect(all(system.log.read(gap, { ...behind, sequence: 9e9 }))).rejects.toBeInstanceOf(
    BrokenChain,
  );
});

test("damage names its sequence and subject", async () => {
  const { js } = system.streams;
  const broken = async (change: object | string): Promise<unknown> => {
    const ref = newRef();
    const good = await appended([titled("")], newRef());
    const base = JSON.parse(Buffer.from(await stored(good.sequence)).toString());
    const bytes =
      typeof change === "string" ? change : JSON.stringify({ ...base, id: ref.id, ...change });
    const { seq } = await js.publish(eventSubject(ref), bytes);
    const error: unknown = await system.log.at(seq).catch((thrown: unknown) => thrown);
    expect(String(error)).toContain(`sequence ${seq} (${eventSubject(ref)})`);
    return error;
  };
  const titledWith = (change: object): object => ({
    events: [{ type: "conversation.titled", v: 1, data: { source: "user" }, ...change }],
  });
  expect(await broken("no JSON")).toBeInstanceOf(DamagedCommit);
  expect(await broken({ revision: 0 })).toBeInstanceOf(DamagedCommit);
  expect(await broken({ tenant: "other" })).toBeInstanceOf(DamagedCommit);
  expect(await broken("[]")).toBeInstanceOf(DamagedCommit);
  expect(await broken(titledWith({ type: "noun.verb" }))).toBeInstanceOf(UnknownEvent);
  expect(await broken(titledWith({ v: 2 }))).toBeInstanceOf(UnknownEvent);
  expect(await broken(titledWith({ data: { source: "nobody" } }))).toBeInstanceOf(DamagedCommit);
});
