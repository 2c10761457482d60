/**
 * One id is one command of its actor, however long after: on a real nats-server whose duplicate
 * window is over and whose command stream remembers nothing (I2).
 */
import { nanos } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Reply } from "../../schemas/commands.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { newRef } from "../streams/system.ts";
import { startWorld, type Talk, type World } from "./worker.ts";

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

/** What a week does: every window is over, the queue is empty, and nobody has the actor in memory. */
async function weekLater(): Promise<void> {
  const { jsm } = world.system.streams;
  await jsm.streams.purge("COMMANDS");
  await jsm.streams.update("EVENTS", { duplicate_window: nanos(100) });
}
const added = async (talk: Talk): Promise<string[]> =>
  (await talk.log()).flatMap(({ type, data }) => (type === "message.added" ? [data.message] : []));

test("I2: sent again at once, seconds or a week later, it takes effect once and gets the same answer", async () => {
  const first = await world.worker();
  const talk = await world.talk();
  const sent = systemIds();
  const renamed = systemIds();
  const send = (): Promise<Reply> => talk.command("send", { text: "once" }, sent);
  const rename = (): Promise<Reply> => talk.command("update", { title: "once" }, renamed);

  // Twice in one breath, while its turn is still to run.
  const [one, two] = await Promise.all([send(), send()]);
  expect(one).toMatchObject({ command: sent, ok: true, revision: 3 });
  expect(two).toEqual(one);
  await talk.event("turn.completed");
  const title = await rename();
  expect(title).toMatchObject({ ok: true });
  // What came in between is not undone.
  await talk.command("update", { title: "twice" });
  expect(await rename()).toEqual(title);

  await first.stop();
  await weekLater();
  const second = await world.worker();
  expect(await send()).toEqual(one);
  expect(await rename()).toEqual(title);
  expect(second.host.running()).toBe(0);
  expect(await added(talk)).toEqual([sent]);
  expect(talk.commits.filter(({ command }) => command === renamed)).toHaveLength(1);
  expect(world.provider.requests).toHaveLength(1);
  const titles = (await talk.log()).filter(
    ({ type, data }) => type === "conversation.titled" && data.source === "user",
  );
  expect(titles.map(({ data }) => ("title" in data ? data.title : ""))).toEqual(["once", "twice"]);
  expect([...first.problems, ...second.problems]).toEqual([]);
});

test("I2: a week later a snapshot knows it as well as the history did", async () => {
  const first = await world.worker();
  const talk = await world.talk();
  const id = systemIds();
  const answer = await talk.command("create", { title: "known" }, id);
  const stored = world.snapshotStored(talk.ref);
  for (let at = 0; at < limits.snapshot_events; at++) {
    await talk.command("update", { title: `title ${at}` });
  }
  await stored;
  await first.stop();
  await weekLater();
  const second = await world.worker();
  expect(await talk.command("create", { title: "known" }, id)).toEqual(answer);
  expect(second.read.length).toBeLessThan(limits.snapshot_events);
});

test("I2: the same id of another conversation or another tenant is another command", async () => {
  const worker = await world.worker();
  const ref = newRef();
  const talks = await Promise.all([
    world.talk({ ref }),
    // The very same id of an actor, in another tenant.
    world.talk({ ref: { ...ref, tenant: "zeta" } }),
    world.talk(),
  ]);
  const id = systemIds();
  const replies = await Promise.all(
    talks.map((talk, at) => talk.command("send", { text: `said in ${at}` }, id)),
  );
  for (const reply of replies) expect(reply).toMatchObject({ ok: true, revision: 3 });
  expect(new Set(replies.map((reply) => (reply.ok ? reply.sequence : 0))).size).toBe(3);
  for (const [at, talk] of talks.entries()) {
    await talk.event("turn.completed");
    expect(await added(talk)).toEqual([id]);
    expect(await talk.command("send", { text: `said in ${at}` }, id)).toEqual(replies[at]);
  }
  expect(world.provider.requests.map(({ message }) => message).sort()).toEqual([
    "said in 0",
    "said in 1",
    "said in 2",
  ]);
  expect(worker.problems).toEqual([]);
});

test("I10: what came of a command is told to nobody else who names its id", async () => {
  await world.worker();
  const talk = await world.talk();
  const id = systemIds();
  await talk.command("send", { text: "mine" }, id);
  const stranger = await world.talk({ ref: talk.ref, user: "eve" });
  expect(await stranger.command("send", { text: "hers" }, id)).toMatchObject({
    ...{ ok: false, error: { code: "not_found" } },
  });
  await talk.event("turn.completed");
  expect(await stranger.command("send", { text: "hers" }, id)).toMatchObject({ ok: false });
  expect(await added(talk)).toEqual([id]);
});

test("a refused command is decided anew, since it had no effect", async () => {
  await world.worker();
  const talk = await world.talk();
  const id = systemIds();
  const early = await talk.command("update", { title: "too early" }, id);
  expect(early).toMatchObject({ ok: false, error: { code: "not_found" } });
  await talk.command("create", {});
  expect(await talk.command("update", { title: "now" }, id)).toMatchObject({ ok: true });
});
