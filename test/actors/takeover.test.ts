/** Two workers on a real nats-server: one goes, and what it ran goes on with the other (I7). */
import { afterEach, beforeEach, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { startWorld, type Talk, type Worker, type World } from "./worker.ts";

let world: World;
beforeEach(async () => {
  world = await startWorld();
});
afterEach(() => world.stop());

/** A gated answer whose first tokens were seen; whoever runs it. */
async function answering(workers: readonly Worker[], talk: Talk, text: string): Promise<Worker> {
  await talk.command("send", { text: `${text} [[tokens:6]] [[gate]]` });
  const { owner } = await talk.event("turn.started");
  await world.provider.whenRequest(1);
  world.provider.release(2);
  await talk.framesSeen(1);
  const running = workers.find(({ id }) => id === owner);
  if (running === undefined) throw new Error("nobody runs it");
  return running;
}

test("I7: a worker dies in mid-answer: the other begins the next attempt and ends it", async () => {
  const workers = [await world.worker(), await world.worker()];
  const talk = await world.talk();
  const dying = await answering(workers, talk, "first");
  await talk.command("send", { text: "second" });
  await dying.crash();

  const restarted = await talk.event("turn.restarted");
  expect(restarted).toMatchObject({ attempt: 2, reason: "lease_redelivered" });
  expect(restarted.owner).not.toBe(dying.id);
  expect(await talk.event("model.attempted")).toMatchObject({ outcome: "lost", estimated: true });
  await world.provider.whenRequest(2);
  world.provider.release(6);
  const completed = await talk.event("turn.completed");
  expect(completed).toMatchObject({ attempt: 2 });
  const frames = talk.frames.filter(({ t, a }) => t === completed.turn && a === 2);
  expect(frames.map(({ d }) => d).join("")).toBe(completed.text);
  // What waited behind it runs, too.
  const second = await talk.event("turn.completed");
  expect(second.turn).not.toBe(completed.turn);
});

test("I7: a turn whose workers die one after the other ends as failed, with what was seen", async () => {
  const workers = [await world.worker()];
  const talk = await world.talk();
  await answering(workers, talk, "cursed");
  for (let attempt = 2; attempt <= limits.turn_attempts_max; attempt++) {
    workers.push(await world.worker());
    await workers.at(-2)?.crash();
    expect(await talk.event("turn.restarted")).toMatchObject({ attempt });
    await world.provider.whenRequest(attempt);
    world.provider.release(2);
  }
  await world.worker();
  await workers.at(-1)?.crash();
  const failed = await talk.event("turn.failed");
  expect(failed.code).toBe("turn_attempts_exhausted");
  const last = talk.frames.filter(({ a }) => a === limits.turn_attempts_max);
  expect(
    last
      .map(({ d }) => d)
      .join("")
      .startsWith(failed.text),
  ).toBe(true);
  const reply = await talk.command("send", { text: "and now?" });
  expect(reply).toMatchObject({ ok: true });
  await talk.event("turn.completed");
});

test("I7: a worker that drains gives its running turn to the other", async () => {
  const workers = [await world.worker(), await world.worker()];
  const talk = await world.talk();
  const leaving = await answering(workers, talk, "hand over");
  await leaving.stop(0);
  expect(await talk.event("turn.restarted")).toMatchObject({ attempt: 2 });
  await world.provider.whenAborted(1);
  await world.provider.whenRequest(2);
  world.provider.release(6);
  expect(await talk.event("turn.completed")).toMatchObject({ attempt: 2 });
});

test("a drain waits for what runs, and starts nothing new", async () => {
  const worker = await world.worker();
  const talk = await world.talk();
  await answering([worker], talk, "finish me");
  const stopped = worker.stop(30_000);
  world.provider.release(6);
  expect(await talk.event("turn.completed")).toMatchObject({ attempt: 1 });
  await stopped;
  await world.worker();
  expect(await talk.command("send", { text: "next" })).toMatchObject({ ok: true });
});
