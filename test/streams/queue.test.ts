/** The command queue: nothing acknowledged is lost, and each command is delivered until it is done (I1). */
import { expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandSubject } from "../../schemas/subjects.ts";
import type { Delivery } from "../../streams/queue/queue.ts";
import { idsOf, startQueueDesk } from "./queue-desk.ts";
import { newRef, partitions } from "./system.ts";

const desk = startQueueDesk();

test("I1: commands reach the one worker, with who sent them, and are gone once acked", async () => {
  const { send, waiting, work } = desk();
  const worker = await work();
  const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const ref = newRef();
  const id = await send(ref, {
    name: "send",
    data: { text: "Hi" },
    traceparent: trace,
    reply: "reply.acme.me",
  });
  const others = await Promise.all(Array.from({ length: 50 }, () => send()));
  await expect.poll(() => idsOf(worker)).toEqual([id, ...others].sort());
  expect(worker.got.find((delivery) => delivery.id === id)).toMatchObject({
    ref,
    command: { name: "send", data: { text: "Hi" } },
    by: { type: "user", id: "ann" },
    traceparent: trace,
    reply: "reply.acme.me",
    deliveries: 1,
  });
  await expect.poll(waiting).toBe(0);
  expect(worker.queue.owned()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(worker.problems).toEqual([]);
});

test("a command without a signature is by its tenant's integration", async () => {
  const { system, work } = desk();
  const worker = await work();
  const payload = JSON.stringify({ id: systemIds(), data: {} });
  await system.streams.js.publish(commandSubject(newRef("zeta"), "cancel"), payload);
  await expect
    .poll(() => worker.got.map(({ by }) => by))
    .toEqual([{ type: "integration", id: "zeta" }]);
});

test("what waited is handed over in one go", async () => {
  const { send, work } = desk();
  const ids = await Promise.all(Array.from({ length: 40 }, () => send()));
  const worker = await work();
  await expect.poll(() => idsOf(worker)).toEqual(ids.sort());
  expect(worker.goes.length).toBeLessThanOrEqual(partitions);
});

test("I1: what is held stays held, and what is not renewed is delivered again", async () => {
  const { ends, send, waiting, work } = desk();
  const held: Delivery[] = [];
  const worker = await work((delivery) => {
    if (delivery.command.name === "send") held.push(delivery);
  });
  const renewing = setInterval(() => held[0]?.working(), limits.working_ms);
  ends.push(() => clearInterval(renewing));
  const id = await send(newRef(), { name: "send", data: { text: "long turn" } });
  const dropped = await send();
  await expect.poll(() => worker.got.filter((d) => d.id === dropped).length).toBe(3);
  expect(worker.got.filter((d) => d.id === dropped).map((d) => d.deliveries)).toEqual([1, 2, 3]);
  expect(worker.got.filter((d) => d.id === id)).toHaveLength(1);
  held[0]?.ack();
  // A handle that is past its time does nothing: the message may be another's.
  worker.got.find((d) => d.id === dropped)?.ack();
  await expect.poll(() => worker.got.filter((d) => d.id === dropped).length).toBe(4);
  worker.got.at(-1)?.ack();
  await expect.poll(waiting).toBe(0);
});

test("a command that is given back comes again after its time", async () => {
  const { send, work } = desk();
  const worker = await work((delivery) => {
    if (delivery.deliveries === 1) delivery.nak(100);
    else delivery.ack();
  });
  const id = await send();
  await expect
    .poll(() => worker.got.map((d) => [d.id, d.deliveries]))
    .toEqual([
      [id, 1],
      [id, 2],
    ]);
});
