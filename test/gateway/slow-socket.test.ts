/** A client that stops reading: a lagging cursor, never more than a bounded buffer. */
import { beforeAll, expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

test("I5 I6 I11: a socket that stops reading lags, costs bounded memory, and catches up exactly", async () => {
  const client = await running.connect({ user: "slow" });
  const other = await running.connect({ user: "slow" });
  const conversation = systemIds();
  // Together far more than the buffers of the kernel and of the socket: pushed without a look at its
  // watermark, the socket would overflow and be closed.
  const word = "0123456789abcdef".repeat(64);
  const tokens = Array.from({ length: 350 }, (_, n) => `${n} ${word}`);
  const provider = running.world.provider;
  const begin = async (): Promise<void> => {
    provider.script({ tokens });
    const ask = { type: "send", id: systemIds(), conversation, text: "flood", parent: null };
    other.send(ask);
    await other.next("end");
  };
  await begin();
  await client.ask({ type: "subscribe", conversation });
  client.socket.pause();
  for (let round = 0; round < 60; round++) await begin();
  client.socket.resume();
  const last = other.revisions(conversation).at(-1) ?? 0;
  await client.until(
    (frames) =>
      frames.filter(({ type }) => type === "end").length === 61 &&
      frames.some((one) => one.type === "event" && one.revision === last),
  );
  const wanted = Array.from({ length: last }, (_, index) => index + 1);
  expect(client.revisions(conversation)).toEqual(wanted);
  const turns = other.frames.flatMap((one) => (one.type === "end" ? one.turn : []));
  for (const one of turns) expect(client.text(one)).toBe(tokens.join(""));
}, 120_000);
