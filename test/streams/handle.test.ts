/** What a worker may do to a message that may be another's by now: nothing. */
import type { JsMsg } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../../streams/connection.ts";
import { handleOf } from "../../streams/queue/handle.ts";
import { newRef } from "./system.ts";

/** A handle, the pin that it came under, and everything that reaches the server. */
function open() {
  const used: string[] = [];
  let now_ms = 0;
  let closed = false;
  const pin = { partition: 3, ours: true };
  const message = {
    ...{ seq: 7, info: { deliveryCount: 1 } },
    ack: () => used.push("ack"),
    nak: (ms: number) => used.push(`nak ${ms}`),
    working: () => used.push("working"),
  };
  const streams = { nc: { isClosed: () => closed } };
  const parts = {
    // The parts of a connection and of a message that a handle uses here.
    streams: streams as object as Streams,
    clock: { now: () => now_ms, after: () => () => undefined },
    burials: new Set<Promise<void>>(),
    report: () => undefined,
  };
  const arrival = { message: message as object as JsMsg, pin, at_ms: 0 };
  const handle = handleOf(parts, arrival, { ref: newRef(), id: null });
  return {
    ...{ handle, used, pin },
    pass: (ms: number): void => void (now_ms += ms),
    close: (): void => void (closed = true),
  };
}

/** Everything that can be done to it. */
function doAll({ handle }: ReturnType<typeof open>): void {
  handle.working();
  handle.nak(5);
  handle.ack();
}

test("whoever holds a message may renew it, give it back and acknowledge it", () => {
  const one = open();
  doAll(one);
  expect(one.used).toEqual(["working", "nak 5", "ack"]);
});

test("I7: a stale owner's working() keeps no message from its next owner, and its ack() takes no lease away", () => {
  const lost = open();
  lost.pin.ours = false;
  doAll(lost);
  expect(lost.used).toEqual([]);
  const cut = open();
  cut.close();
  doAll(cut);
  expect(cut.used).toEqual([]);
});

test("I7: past ack_wait a message is another's, unless it was renewed", () => {
  const held = open();
  for (let count = 0; count < 5; count++) {
    held.pass(limits.ack_wait_ms - 1);
    held.handle.working();
  }
  expect(held.used).toHaveLength(5);
  held.pass(limits.ack_wait_ms);
  doAll(held);
  expect(held.used).toHaveLength(5);
});
