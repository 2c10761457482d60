/**
 * A tenant's workspace on a real nats-server, run by the same host as its conversations: it takes the
 * system's commands alone, once each, and is loaded from snapshots like any other actor.
 */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { CommandData, Reply } from "../../schemas/commands.ts";
import { empty_head } from "../../schemas/commit.ts";
import { type ActorRef, type By, systemClock, systemIds, workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandSubject } from "../../schemas/subjects.ts";
import { lastAnchor } from "../../streams/proof/anchors.ts";
import { openRounds } from "../../streams/proof/anchor-rounds.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { readLetters } from "../../streams/queue/letters.ts";
import { openReplies, type Replies } from "../../streams/live/replies.ts";
import { verifyAnchors } from "../../streams/proof/verify-anchors.ts";
import { all, secret } from "../streams/system.ts";
import { startWorld, type World } from "./worker.ts";

const ref = workspaceRef("acme");
const system_by: By = { type: "system", id: "operator" };
let world: World;
let replies: Replies;
beforeEach(async () => {
  world = await startWorld();
  replies = openReplies(world.system.streams, systemIds());
});
afterEach(async () => {
  replies.stop();
  await world.stop();
});

/** Asks and waits for the answer. */
async function ask(
  name: string,
  data: object,
  more: { readonly by?: By; readonly id?: string; readonly to?: ActorRef } = {},
): Promise<Reply> {
  const { by = system_by, id = systemIds(), to = ref } = more;
  const answered = new Promise<Reply>((resolve) => {
    const end = replies.on(id, (reply) => {
      end();
      resolve(reply);
    });
  });
  const reply = replies.subject(to.tenant);
  const publisher = commandPublisher(world.system.streams, secret);
  await publisher.publish({ ref: to, name, id, data, by, reply, traceparent: null });
  return answered;
}
const anchor = (from: number, sequence: number): CommandData<"anchor"> => ({
  ...{ root: "a".repeat(64), chains: 1, commits: 1, from, sequence, settled: 0 },
});
const exported: CommandData<"record-export"> = {
  ...{ operator: "ann", from: 1, to: 9, commits: 4, keys: false },
};
const revisions = async (): Promise<number> =>
  (await all(world.system.log.read(ref, empty_head))).length;

test("I2: a command of the system takes effect once, under its id or under another", async () => {
  await world.worker();
  const id = systemIds();
  const first = await ask("anchor", anchor(1, 5), { id });
  expect(first).toMatchObject({ ok: true, revision: 1 });
  expect(await ask("anchor", anchor(1, 5), { id })).toEqual(first);
  expect(await ask("anchor", anchor(1, 5))).toMatchObject({ ok: true, revision: 1 });
  expect(await ask("anchor", anchor(1, 9))).toMatchObject({
    ...{ ok: false, error: { code: "anchor_behind" } },
  });
  const export_id = systemIds();
  const recorded = await ask("record-export", exported, { id: export_id });
  expect(recorded).toMatchObject({ ok: true, revision: 2 });
  expect(await ask("record-export", exported, { id: export_id })).toEqual(recorded);
  expect(await revisions()).toBe(2);
});

test("I10: nobody but the system may ask it for anything, and it answers to its own names only", async () => {
  const worker = await world.worker();
  const forbidden = { ok: false, error: { code: "forbidden" } };
  const people: By[] = [
    { type: "user", id: "ann" },
    { type: "integration", id: "acme" },
  ];
  for (const by of people) {
    expect(await ask("anchor", anchor(1, 5), { by })).toMatchObject(forbidden);
    expect(await ask("record-export", exported, { by })).toMatchObject(forbidden);
  }
  const unknown = { ok: false, error: { code: "unknown_command" } };
  const text = { text: "hello" };
  expect(await ask("send", text)).toMatchObject(unknown);
  expect(await ask("idle", {})).toMatchObject(unknown);
  const talk = { ...ref, kind: "conversation" } as const;
  expect(await ask("anchor", anchor(1, 5), { to: talk })).toMatchObject(unknown);
  expect(await ask("create", {}, { to: { ...ref, kind: "document" } })).toMatchObject(unknown);
  // Unsigned, as an integration sends it.
  const payload = JSON.stringify({ id: systemIds(), data: exported });
  await world.system.streams.js.publish(commandSubject(ref, "record-export"), payload);
  const codes = async (): Promise<string[]> =>
    (await all(readLetters(world.system.streams, "acme"))).map(({ letter }) => letter.code);
  await expect.poll(codes).toHaveLength(9);
  expect(new Set(await codes())).toEqual(new Set(["forbidden", "unknown_command"]));
  expect(await revisions()).toBe(0);
  expect(worker.problems).toEqual([]);
});

test("I4: it goes on from a snapshot, and knows its newest commands", async () => {
  const first = await world.worker();
  const stored = world.snapshotStored(ref);
  for (let at = 1; at < limits.snapshot_events; at++) await ask("anchor", anchor(at, at));
  const id = systemIds();
  const newest = await ask("anchor", anchor(limits.snapshot_events, limits.snapshot_events), {
    id,
  });
  await stored;
  await first.stop();
  const second = await world.worker();
  expect(await ask("anchor", anchor(1, 1), { id })).toEqual(newest);
  expect(await ask("anchor", anchor(1, 1))).toMatchObject({ error: { code: "anchor_behind" } });
  const next = anchor(limits.snapshot_events + 1, limits.snapshot_events + 1);
  expect(await ask("anchor", next)).toMatchObject({ ok: true });
  expect(second.read.length).toBeLessThan(10);
  expect([...first.problems, ...second.problems]).toEqual([]);
});

test("I3: rounds anchor what people said, through the queue and a worker", async () => {
  const worker = await world.worker();
  const talk = await world.talk();
  await talk.command("send", { text: "hello" });
  await talk.event("turn.completed");
  const { streams } = world.system;
  const rounds = await openRounds({
    ...{ streams, publish: commandPublisher(streams, secret), by: system_by },
    ...{ clock: systemClock, ids: systemIds, report: ({ what }) => worker.problems.push(what) },
  });
  expect(await rounds.next()).toBe(true);
  const made = await lastAnchor(streams, "acme");
  expect(made).toMatchObject({ chains: 1, from: 1 });
  expect(await verifyAnchors(streams, { tenant: null, root: made?.root ?? "" })).toMatchObject({
    ...{ anchors: 1, faulty: 0, found: { root: made?.root } },
  });
  expect(worker.problems).toEqual([]);
});
