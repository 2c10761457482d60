/** The proof of the log on a real server: by one reader and by many threads, with others that remember it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { empty_head, type Head } from "../../schemas/commit.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { eventSubject } from "../../schemas/subjects.ts";
import type { Finding } from "../../streams/proof/state.ts";
import { type Verified, verify } from "../../streams/proof/verify.ts";
import { sequenceAt } from "../../streams/proof/when.ts";
import { snapshotWitnesses } from "../../streams/proof/witnesses.ts";
import { hashOf } from "../../streams/log/codec.ts";
import { openSnapshots } from "../../streams/log/snapshots.ts";
import { draft, newRef, said, startSystem, type System } from "./system.ts";

let system: System;
const refs = [newRef(), newRef(), newRef("zeta"), newRef("zeta")];
const heads = new Map<ActorRef, Head>();
const times: string[] = [];
const commits = 60;

async function append(ref: ActorRef): Promise<Head> {
  const one = draft(ref, [said("one"), said("two")]);
  times.push(one.at);
  const done = await system.log.append(one, heads.get(ref) ?? empty_head);
  if (!done.ok) throw new Error("conflict");
  heads.set(ref, done.head);
  return done.head;
}
beforeAll(async () => {
  system = await startSystem();
  for (let n = 0; n < commits; n++) await append(refs[n % refs.length] ?? newRef());
});
afterAll(() => system.stop());

const proved = (more: Partial<Parameters<typeof verify>[1]> = {}): Promise<Verified> =>
  verify(system.streams, {
    ...{ scope: {}, url: null, witnesses: [], judged: false, threads: 3 },
    ...more,
  });
const told = ({ findings }: Verified): string[] => findings.map(({ sentence }) => sentence);
/** By this thread, and by threads of their own. */
const both = (): (string | null)[] => [null, system.server.url];

test("I3: a whole log is proved the same by one reader and by threads, all of it or a part", async () => {
  const drawn: number[] = [];
  for (const url of both()) {
    const whole = await proved({ url, progress: (read) => drawn.push(read) });
    expect(whole).toMatchObject({ commits, events: 2 * commits, actors: 4, last: commits });
    expect([whole.findings, drawn.at(-1)]).toEqual([[], commits]);
    const zeta = await proved({ url, scope: { tenant: "zeta" } });
    expect(zeta).toMatchObject({ commits: commits / 2, actors: 2, findings: [] });
    const one = await proved({ url, scope: { id: refs[0]?.id } });
    expect(one).toMatchObject({ commits: commits / 4, actors: 1, findings: [] });
  }
});

test("I3: whoever remembers another log is heard, and who remembers this one is not", async () => {
  const snapshots = await openSnapshots(system.streams, { code: "test", report: () => undefined });
  const [first = newRef(), second = newRef()] = refs;
  const head = heads.get(first) ?? empty_head;
  snapshots.save(first, { head, state: { any: "state" }, commits: [] });
  snapshots.save(second, { head: { ...head, sequence: commits + 5 }, state: {}, commits: [] });
  await expect.poll(() => snapshotWitnesses(system.streams)).toHaveLength(2);
  const witnesses = [
    ...(await snapshotWitnesses(system.streams)),
    { who: "A friend", sequence: head.sequence, hash: "ab".repeat(32) },
  ];
  for (const url of both()) {
    expect(told(await proved({ url, witnesses }))).toEqual([
      `A friend has seen another commit at ${head.sequence} than stands there.`,
      `The snapshot of acme.conversation.${second.id} has seen a commit at ${commits + 5}, but the log ends at ${commits}: commits are missing.`,
    ]);
  }
});

test("a time is where the commits say that it was", async () => {
  for (const n of [0, 1, 30, commits - 1]) {
    const time_ms = Date.parse(times[n] ?? "");
    const first = times.findIndex((at) => Date.parse(at) >= time_ms);
    expect(await sequenceAt(system.streams, time_ms, commits)).toBe(first + 1);
  }
  expect(await sequenceAt(system.streams, 0, commits)).toBe(1);
  expect(await sequenceAt(system.streams, Date.now() + 60_000, commits)).toBe(commits + 1);
});

test("I3: every way to break a chain is found, at its place and with its actor", async () => {
  const [first = newRef(), second = newRef(), third = newRef()] = refs;
  const at = (ref: ActorRef): Head => heads.get(ref) ?? empty_head;
  const stored = await system.log.at(at(first).sequence);
  if (stored === null) throw new Error("nothing is stored of the first");
  const { commit, command, by, at: written, revision, prev, events } = stored;
  const text = (change: object): string =>
    JSON.stringify({
      ...{ v: 1, ...first, commit, command, by, at: written, revision, prev, events },
      ...change,
    });
  const put = async (ref: ActorRef, body: string): Promise<number> => {
    const { seq } = await system.streams.js.publish(eventSubject(ref), body);
    heads.set(ref, {
      revision: at(ref).revision + 2,
      sequence: seq,
      hash: hashOf(Buffer.from(body)),
    });
    return seq;
  };
  const next = at(first).revision + 1;
  const before = at(first).sequence;
  const forked = await put(first, text({ revision: next, prev: "0".repeat(64) }));
  const skipped = await put(first, text({ revision: next + 4, prev: at(first).hash }));
  const foreign = await put(
    second,
    text({ revision: at(second).revision + 1, prev: at(second).hash }),
  );
  const nothing = await put(third, "not even JSON");
  const born = newRef("zeta");
  const orphan = await put(born, text({ ...born, revision: 3, prev: "0".repeat(64) }));
  const expected: Partial<Finding>[] = [
    {
      first: forked,
      subject: eventSubject(first),
      sentence: `names another commit as the one before (before it lies ${before})`,
    },
    {
      first: skipped,
      subject: eventSubject(first),
      sentence: `its first event is number ${next + 4}, not ${next + 2}`,
    },
    {
      first: foreign,
      subject: eventSubject(second),
      sentence: "names another actor than its subject",
    },
    { first: nothing, subject: eventSubject(third), sentence: "value must be object" },
    { first: orphan, subject: eventSubject(born), sentence: "its first event is number 3, not 1" },
  ];
  for (const url of both()) {
    const { findings, findings_total } = await proved({ url });
    expect(findings_total).toBe(expected.length);
    expect(findings).toEqual(
      expected.map((one) =>
        expect.objectContaining({
          ...one,
          what: "broken",
          sentence: expect.stringContaining(one.sentence ?? ""),
        }),
      ),
    );
  }
});
