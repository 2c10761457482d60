/** The short lanes: live commits, tokens and their replay, texts, replies, positions, the reader. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Commit, empty_head, type Head } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import { type ActorRef, systemIds } from "../../schemas/ids.ts";
import { eventSubject, liveSubject } from "../../schemas/subjects.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { followCommits, followTenant } from "../../streams/live/live.ts";
import { announcePosition, followPositions } from "../../streams/live/positions.ts";
import { readCommits, type Undecodable } from "../../streams/log/reader.ts";
import { openReplies, replyPort } from "../../streams/live/replies.ts";
import { textPort } from "../../streams/log/texts.ts";
import { followTokens, replayTokens, tokenPort } from "../../streams/live/tokens.ts";
import { draft, newRef, said, signal, startSystem, type System } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

async function append(ref: ActorRef, head: Head, ...texts: string[]): Promise<Head> {
  const done = await system.log.append(draft(ref, texts.map(said)), head);
  if (!done.ok) throw new Error("conflict");
  return done.head;
}
const textsOf = (commits: readonly Commit[]): string[] =>
  commits.flatMap(({ events }) => events.map(({ data }) => ("text" in data ? data.text : "")));

test("I5: a follower sees what is stored, in order, and never a refused append", async () => {
  const ref = newRef();
  const other = await system.client();
  const seen: Commit[] = [];
  const done = signal();
  const following = followCommits(other.streams, other.vault, ref, (commit) => {
    seen.push(commit);
    if (seen.length === 50) done.reach();
  });
  await following.ready;
  const refused: string[] = [];
  other.streams.nc.subscribe(eventSubject(ref), {
    callback: (_, message) => void refused.push(message.string()),
  });
  await other.streams.nc.flush();
  let head = empty_head;
  for (let count = 0; count < 50; count++) {
    head = await append(ref, head, `text ${count}`);
    expect(await system.log.append(draft(ref, [said("refused")]), empty_head)).toEqual({
      ok: false,
    });
  }
  await done.reached;
  // What the server sent before it answered the last append comes before its answer to this.
  await other.streams.nc.flush();
  expect(textsOf(seen)).toEqual(Array.from({ length: 50 }, (_, count) => `text ${count}`));
  expect(seen.at(-1)).toMatchObject({ sequence: head.sequence, hash: head.hash });
  // That is why nobody follows `evt.…`: there the refused ones are visible, too.
  expect(refused.length).toBe(100);
  following.stop();
});

test("a tenant's follower gets every actor of it and nobody else's, in order while keys are fetched", async () => {
  const other = await system.client();
  const tenant = `t${Date.now()}`;
  const refs = Array.from({ length: 20 }, () => newRef(tenant));
  const seen: Commit[] = [];
  const done = signal();
  const following = followTenant(other.streams, other.vault, tenant, (commit) => {
    seen.push(commit);
    if (seen.length === 60) done.reach();
  });
  await following.ready;
  await Promise.all(
    refs.map(async (ref) => {
      let head = await append(ref, empty_head, "1");
      await append(newRef("another"), empty_head, "foreign");
      head = await append(ref, head, "2");
      await append(ref, head, "3");
    }),
  );
  await done.reached;
  expect(new Set(seen.map((commit) => commit.ref.tenant))).toEqual(new Set([tenant]));
  expect(seen.map(({ sequence }) => sequence)).toEqual(
    seen.map((c) => c.sequence).sort((a, b) => a - b),
  );
  for (const ref of refs) {
    expect(textsOf(seen.filter((commit) => commit.ref.id === ref.id))).toEqual(["1", "2", "3"]);
  }
  following.stop();
});

test("damage in the live lane is reported and the lane goes on", async () => {
  const ref = newRef();
  const problems: unknown[] = [];
  const done = signal<Commit>();
  const following = followCommits(system.streams, system.vault, ref, done.reach, (p) =>
    problems.push(p),
  );
  await following.ready;
  system.streams.nc.publish(liveSubject(ref), "garbage");
  await append(ref, empty_head, "fine");
  expect(textsOf([await done.reached])).toEqual(["fine"]);
  expect(String(problems)).toContain(liveSubject(ref));
  following.stop();
});

const frame = (turn: string, a: number, s: number, d: string): TokenFrame => ({ t: turn, a, s, d });

test("frames arrive live, and those of an attempt are replayed sorted, without doubles", async () => {
  const ref = newRef();
  const [turn, other] = [systemIds(), systemIds()];
  const tokens = tokenPort(system.streams, system.log);
  const live: TokenFrame[] = [];
  const done = signal();
  const following = followTokens(system.streams, ref, (one) => {
    live.push(one);
    if (one.d === "last") done.reach();
  });
  await following.ready;
  const sent = [
    frame(turn, 1, 1, "a"),
    frame(turn, 1, 3, "c"),
    frame(turn, 1, 2, "b"),
    frame(turn, 1, 2, "b"),
  ];
  for (const one of [
    ...sent,
    frame(turn, 2, 1, "x"),
    frame(other, 1, 1, "y"),
    frame(turn, 1, 5, "last"),
  ]) {
    tokens.publish(ref, one);
  }
  await done.reached;
  expect(live).toHaveLength(7);
  const replay = async (after: number): Promise<string> =>
    (await replayTokens(system.streams, ref, turn, 1, after))
      .map(({ s, d }) => `${s}${d}`)
      .join(" ");
  await expect.poll(() => replay(0)).toBe("1a 2b 3c 5last");
  expect(await replay(2)).toBe("3c 5last");
  expect(await replayTokens(system.streams, newRef(), turn, 1, 0)).toEqual([]);
  following.stop();
});

test("a replay reads thousands of frames, whatever kind of id the turn has", async () => {
  const ref = newRef();
  const tokens = tokenPort(system.streams, system.log);
  for (const turn of [systemIds(), crypto.randomUUID()]) {
    for (let s = 1; s <= 3_000; s++) tokens.publish(ref, frame(turn, 1, s, `${s} `));
    await expect
      .poll(async () => (await replayTokens(system.streams, ref, turn, 1, 0)).map(({ s }) => s))
      .toEqual(Array.from({ length: 3_000 }, (_, index) => index + 1));
  }
});

test("what an attempt published is its checkpoints and the frames behind them without a gap", async () => {
  const ref = newRef();
  const turn = systemIds();
  const tokens = tokenPort(system.streams, system.log);
  const frames = { lengths: [2, 1], times: [5, 20] };
  const checkpoint = { turn, attempt: 1, first: 1, seq: 2, text: "abc", frames };
  const done = await system.log.append(
    draft(ref, [event("turn.checkpointed", checkpoint)]),
    empty_head,
  );
  if (!done.ok) throw new Error("conflict");
  for (const [s, d] of [
    [2, "c"],
    [3, "dé"],
    [4, "🙂"],
    [6, "lost"],
  ] as const) {
    tokens.publish(ref, frame(turn, 1, s, d));
  }
  tokens.publish(ref, frame(turn, 2, 5, "of another attempt"));
  const published = () => tokens.published(ref, turn, 1, [done.head.sequence]);
  await expect.poll(async () => (await published()).seq).toBe(4);
  const { text, frames: record } = await published();
  expect(text).toBe("abcdé🙂");
  expect(record.lengths).toEqual([2, 1, 2, 2]);
  expect(record.times).toHaveLength(4);
  expect(await tokens.published(ref, systemIds(), 1, [])).toEqual({
    text: "",
    seq: 0,
    frames: { lengths: [], times: [] },
  });
});

test("texts are read by the sequence of their commit, and only of the actor that asks", async () => {
  const ref = newRef();
  const events = [said("first"), said("second")];
  const done = await system.log.append(draft(ref, events), empty_head);
  if (!done.ok) throw new Error("conflict");
  const { sequence } = done.head;
  const messages = events.map(({ data }) => ("message" in data ? data.message : ""));
  const texts = textPort(system.log);
  const refs = [...messages].reverse().map((message) => ({ message, sequence }));
  expect(await texts.read(ref, refs)).toEqual(["second", "first"]);
  const blind = textPort({ at: () => Promise.reject(new Error("not cached")) });
  await expect(blind.read(ref, refs)).rejects.toThrow("not cached");
  expect(await texts.read(ref, refs)).toEqual(["second", "first"]);
  await expect(texts.read(newRef(), refs)).rejects.toMatchObject({ code: "not_found" });
  await expect(texts.read(ref, [{ message: systemIds(), sequence }])).rejects.toMatchObject({
    code: "not_found",
  });
});

test("texts that were read are forgotten when their content is erased, in every process", async () => {
  const [ref, other] = [newRef(), newRef()];
  const texts = textPort(system.log);
  const seen = await system.client();
  seen.vault.onErased((actor) => texts.forget(actor));
  const refs = new Map<string, { message: string; sequence: number }[]>();
  for (const one of [ref, other]) {
    const events = [said("kept")];
    const done = await system.log.append(draft(one, events), empty_head);
    if (!done.ok) throw new Error("conflict");
    const [{ data } = said("")] = events;
    const message = "message" in data ? data.message : "";
    refs.set(one.id, [{ message, sequence: done.head.sequence }]);
    expect(await texts.read(one, refs.get(one.id) ?? [])).toEqual(["kept"]);
  }
  await system.vault.erase(ref);
  await expect.poll(() => texts.read(ref, refs.get(ref.id) ?? []), { interval: 5 }).toEqual([""]);
  expect(await texts.read(other, refs.get(other.id) ?? [])).toEqual(["kept"]);
});

test("a reply reaches whoever waits for its command, and nobody else", async () => {
  const replies = openReplies(system.streams, "inbox1");
  const command = systemIds();
  const got = signal<unknown>();
  const end = replies.on(command, got.reach);
  replies.on(systemIds(), () => expect.unreachable());
  await system.streams.nc.flush();
  const subject = replies.subject("acme");
  expect(subject).toBe("reply.acme.inbox1");
  system.streams.nc.publish(subject, "garbage");
  const reply = { command, ok: true, revision: 1, sequence: 2 } as const;
  replyPort(system.streams).answer(subject, reply);
  expect(await got.reached).toEqual(reply);
  end();
  replies.stop();
  expect(() => openReplies(system.streams, "a.b")).toThrow(TypeError);
});

test("positions are announced to all", async () => {
  const got = signal<[string, number]>();
  const following = followPositions(system.streams, (projector, sequence) =>
    got.reach([projector, sequence]),
  );
  await following.ready;
  system.streams.nc.publish("position.messages", "not a number");
  announcePosition(system.streams, "messages", 42);
  expect(await got.reached).toEqual(["messages", 42]);
  following.stop();
});

test("the reader catches up and goes on live, and hands damage on as what it is", async () => {
  const other = await system.client();
  const ref = newRef();
  const after = await system.log.lastSequence();
  let head = await append(ref, empty_head, "old");
  const { seq } = await system.streams.js.publish(eventSubject(newRef()), "{}");
  const abort = new AbortController();
  const seen: (Commit | Undecodable)[] = [];
  for await (const logged of readCommits(other.streams, other.vault, {
    after,
    signal: abort.signal,
  })) {
    seen.push(logged);
    if (seen.length === 2) head = await append(ref, head, "live");
    if (seen.length === 3) abort.abort();
  }
  expect(seen).toMatchObject([
    { erased: false },
    { sequence: seq, undecodable: true, revision: 0 },
    { sequence: head.sequence },
  ]);
  expect(textsOf(seen.filter((one): one is Commit => !("undecodable" in one)))).toEqual([
    "old",
    "live",
  ]);
});

test("a reader that stops leaves nothing behind", async () => {
  const reading = readCommits(system.streams, system.vault, {
    after: 0,
    signal: new AbortController().signal,
  });
  for await (const logged of reading) {
    expect(logged.sequence).toBe(1);
    break;
  }
  const consumers = async (): Promise<number> =>
    (await system.streams.jsm.streams.info("EVENTS")).state.consumer_count;
  await expect.poll(consumers).toBe(0);
});
