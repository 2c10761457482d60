/** The host on a real nats-server: what a person asks of a conversation, and what its log says. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { startWorld, type Worker, type World } from "./worker.ts";

let world: World;
let worker: Worker;
beforeEach(async () => {
  world = await startWorld();
  worker = await world.worker();
});
afterEach(async () => {
  const { problems } = worker;
  await world.stop();
  expect(problems).toEqual([]);
});

test("I5: a message is answered, and its frames are exactly the text of the event that ends it", async () => {
  const talk = await world.talk();
  const reply = await talk.command("send", { text: "What is a durable actor?" });
  expect(reply).toMatchObject({ ok: true, revision: 3 });
  const completed = await talk.event("turn.completed");
  expect(completed).toMatchObject({ attempt: 1, finish: "stop", seq: talk.frames.length });
  expect(talk.frames.map(({ d }) => d).join("")).toBe(completed.text);
  expect(talk.frames.map(({ s }) => s)).toEqual(talk.frames.map((_, index) => index + 1));
  expect(completed.frames.lengths).toEqual(talk.frames.map(({ d }) => d.length));
  expect((await talk.log()).map(({ type }) => type)).toEqual([
    ...["conversation.started", "message.added", "turn.started"],
    ...["model.attempted", "turn.completed", "conversation.titled"],
  ]);
});

test("the next message is read with all that was said before", async () => {
  const talk = await world.talk();
  await talk.command("send", { text: "one" });
  const first = await talk.event("turn.completed");
  await talk.command("send", { text: "two" });
  await talk.event("turn.completed");
  const { body } = await world.provider.whenRequest(2);
  expect(body.messages.map(({ content }) => content)).toEqual(["one", first.text, "two"]);
});

test("I2: the same id takes effect once and is answered alike", async () => {
  const talk = await world.talk();
  const id = await talk.publish("send", { text: "once" });
  const completed = await talk.event("turn.completed");
  const again = await talk.command("send", { text: "once" }, id);
  expect(again).toMatchObject({ ok: true, command: id, revision: 3 });
  expect(world.provider.requests).toHaveLength(1);
  expect((await talk.log()).filter(({ type }) => type === "message.added")).toHaveLength(1);
  expect(completed.attempt).toBe(1);
});

test("cancel aborts the provider's request and keeps what everybody saw", async () => {
  const talk = await world.talk();
  await talk.command("send", { text: "[[tokens:10]] [[gate]]" });
  world.provider.release(3);
  await world.provider.whenRequest(1);
  await talk.framesSeen(1);
  const reply = await talk.command("cancel", {});
  expect(reply).toMatchObject({ ok: true });
  const cancelled = await talk.event("turn.cancelled");
  expect(cancelled).toMatchObject({ reason: "asked", attempt: 1 });
  expect(cancelled.text).toBe(talk.frames.map(({ d }) => d).join(""));
  expect(cancelled.text).not.toBe("");
  await world.provider.whenAborted(1);
  const attempted = await talk.event("model.attempted");
  expect(attempted).toMatchObject({ outcome: "cancelled", estimated: true });
});

test("a waiting message runs when the one before has ended", async () => {
  const talk = await world.talk();
  await talk.command("send", { text: "first [[tokens:2]] [[gate]]" });
  await talk.command("send", { text: "second" });
  const queued = await talk.event("turn.queued");
  world.provider.release(2);
  const first = await talk.event("turn.completed");
  const second = await talk.event("turn.completed");
  expect(second.turn).toBe(queued.turn);
  const { body } = await world.provider.whenRequest(2);
  expect(body.messages.at(-2)?.content).toBe(first.text);
});

test("interrupt ends the running answer and all that wait, and begins at once", async () => {
  const talk = await world.talk();
  await talk.command("send", { text: "first [[gate]]" });
  await talk.command("send", { text: "second" });
  await talk.command("send", { text: "third", overlap: "interrupt" });
  expect(await talk.event("turn.cancelled")).toMatchObject({ reason: "interrupted", attempt: 1 });
  expect(await talk.event("turn.cancelled")).toMatchObject({ reason: "interrupted", attempt: 0 });
  await talk.event("turn.completed");
  await world.provider.whenAborted(1);
  expect(world.provider.requests.map(({ message }) => message)).toEqual([
    "first [[gate]]",
    "third",
  ]);
});

test("reject and a full queue are answers, not failures", async () => {
  const talk = await world.talk();
  await talk.command("send", { text: "first [[gate]]" });
  expect(await talk.command("send", { text: "no", overlap: "reject" })).toMatchObject({
    ok: false,
    error: { code: "turn_running" },
  });
  for (let n = 0; n < limits.turns_queued_per_conversation_max; n++) {
    expect(await talk.command("send", { text: `waiting ${n}` })).toMatchObject({ ok: true });
  }
  expect(await talk.command("send", { text: "too many" })).toMatchObject({
    ok: false,
    error: { code: "queue_full" },
  });
  expect(await talk.command("delete", {})).toMatchObject({ ok: true });
});

test("regenerate and edit make branches; nothing is overwritten", async () => {
  const talk = await world.talk();
  const question = await talk.publish("send", { text: "question" });
  const first = await talk.event("turn.completed");
  await talk.command("regenerate", { message: first.message });
  const second = await talk.event("turn.completed");
  expect(second.message).not.toBe(first.message);
  await talk.command("edit", { message: question, text: "better question" });
  await talk.event("turn.completed");
  expect(
    world.provider.requests.map(({ body }) => body.messages.map(({ content }) => content)),
  ).toEqual([["question"], ["question"], ["better question"]]);
});

test("I10: a stranger's command is answered as if nothing were there", async () => {
  const talk = await world.talk();
  await talk.command("send", { text: "mine" });
  await talk.event("turn.completed");
  const stranger = await world.talk({ ref: talk.ref, user: "eve" });
  for (const answer of [
    await stranger.command("send", { text: "hers" }),
    await stranger.command("cancel", {}),
    await stranger.command("delete", {}),
    await stranger.command("create", {}),
  ]) {
    expect(answer).toMatchObject({ ok: false, error: { code: "not_found" } });
  }
});

test("a deleted conversation refuses everything but its deletion, and its content is erased", async () => {
  const talk = await world.talk();
  await talk.command("send", { text: "secret" });
  await talk.event("turn.completed");
  await talk.command("delete", {});
  await talk.event("conversation.deleted");
  expect(await talk.command("send", { text: "more" })).toMatchObject({
    ok: false,
    error: { code: "conversation_deleted" },
  });
  expect(await talk.command("delete", {})).toMatchObject({ ok: true });
});

test("a provider that fails before its first token is asked again, and each call is on the bill", async () => {
  const talk = await world.talk();
  world.provider.script({ fault: 500 });
  await talk.command("send", { text: "go" });
  expect(await talk.event("model.attempted")).toMatchObject({ outcome: "failed" });
  expect(await talk.event("model.attempted")).toMatchObject({ outcome: "completed" });
  await talk.event("turn.completed");
});

test("a stream that breaks off ends the turn with the text that was seen", async () => {
  const talk = await world.talk();
  await talk.command("send", { text: "[[tokens:6]] [[fault:cut]]" });
  const failed = await talk.event("turn.failed");
  expect(failed.code).toBe("model_stream_cut");
  expect(failed.text).toBe(talk.frames.map(({ d }) => d).join(""));
});
