/**
 * A gateway while NATS is in trouble: commands are answered with a code, and whoever listens reads
 * on where he was, by the same socket (I1, I2, I6).
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ServerFrame } from "../../schemas/frames.ts";
import { systemIds } from "../../schemas/ids.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { secret, startSystemOn, type System } from "../streams/system.ts";
import { startTroubled, type Troubled } from "../streams/troubled.ts";
import type { Foreign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";

let system: System<Troubled>;
let running: Running;
beforeAll(async () => {
  system = await startSystemOn(await startTroubled(), 1);
  running = await startRunning(system);
});
afterAll(() => running.stop());

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1);
const ends = (frames: readonly ServerFrame[]): number =>
  frames.filter(({ type }) => type === "end").length;
const path = "/api/v1/conversations";

/** The transcript is whole: no revision is missing or twice, and the text is what is stored. */
function whole(client: Foreign, conversation: string): void {
  const revisions = client.revisions(conversation);
  expect(revisions).toEqual(upTo(revisions.length));
  for (const frame of client.frames) {
    if (frame.type !== "event" || frame.event.type !== "turn.completed") continue;
    const { turn, attempt, text } = frame.event;
    expect(client.text(String(turn), Number(attempt))).toBe(text);
  }
  expect(client.frames.filter(({ type }) => type === "error")).toEqual([]);
}

test("I6: the server is killed and started again in mid-answer: the socket reads on", async () => {
  const client = await running.connect();
  const conversation = systemIds();
  const text = "Go on and on [[tokens:12]] [[gate]]";
  expect(await client.ask({ type: "send", conversation, text })).toMatchObject({ type: "ack" });
  running.world.provider.release(4);
  await client.next("token");
  await system.server.kill9();
  await system.server.start();
  running.world.provider.release(1_000);
  expect(await client.next("end")).toMatchObject({ finish: "stop" });
  whole(client, conversation);
});

test("I6: a gateway that was cut off refuses with a code, and then tells what happened meanwhile", async () => {
  const far = await system.client(system.server.way);
  const at = await running.another({ ...far, publish: commandPublisher(far.streams, secret) });
  const [near, cut] = [await running.connect(), await running.connect({ at })];
  const conversation = systemIds();
  await cut.ask({ type: "send", conversation, text: "Hello" });
  await cut.next("end");
  await near.ask({ type: "subscribe", conversation });

  await system.server.cut();
  const frame = { type: "send", id: systemIds(), conversation, text: "Is anybody there?" };
  expect(await cut.ask(frame)).toMatchObject({ type: "nack", error: { code: "unavailable" } });
  expect(await near.ask({ type: "send", conversation, text: "I am" })).toMatchObject({
    type: "ack",
  });
  await near.until((frames) => ends(frames) === 2);
  await system.server.mend();
  await cut.until((frames) => ends(frames) === 2);
  expect(await cut.ask(frame)).toMatchObject({ type: "ack" });
  for (const client of [near, cut]) {
    await client.until((frames) => ends(frames) === 3);
    whole(client, conversation);
  }
});

test("I1: the log is full: the command is answered with a code, kept, and takes effect once", async () => {
  const client = await running.connect();
  const { streams } = system.streams.jsm;
  const { config, state } = await streams.info("EVENTS");
  await streams.update("EVENTS", { ...config, max_bytes: state.bytes });
  const conversation = systemIds();
  const frame = { type: "send", id: systemIds(), conversation, text: "Is there room?" };
  expect(await client.ask(frame)).toMatchObject({
    type: "nack",
    error: { code: "command_unanswered" },
  });
  await streams.update("EVENTS", { ...config, max_bytes: -1 });
  expect(await client.ask(frame)).toMatchObject({ type: "ack" });
  await client.next("end");
  const { body } = await running.http("GET", `${path}/${conversation}/messages`);
  expect(body["items"]).toMatchObject([{ id: frame.id, text: frame.text }, { status: "done" }]);
});
