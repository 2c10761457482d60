/** The messages that an actor holds open, and the count of them that keeps room for a `cancel`. */
import { expect, test } from "vitest";
import { Leases } from "../../actors/leases.ts";
import type { Delivery } from "../../actors/ports.ts";

function counted() {
  const held = new Map<number, number>();
  const acked: number[] = [];
  const leases = new Leases((partition, change) => {
    held.set(partition, (held.get(partition) ?? 0) + change);
  });
  const delivery = (sequence: number, id: string, partition = 3): Delivery => ({
    ...{ sequence, id, partition, deliveries: 1, traceparent: null, reply: null },
    ref: { tenant: "acme", kind: "conversation", id: "c" },
    command: { name: "send", data: { text: "hi" } },
    by: { type: "user", id: "ann" },
    ack: () => void acked.push(sequence),
    working: () => undefined,
    nak: () => undefined,
    dead: () => undefined,
  });
  return { leases, held, acked, delivery };
}

test("a message that is delivered again replaces its handle and is counted once", () => {
  const { leases, held, acked, delivery } = counted();
  leases.hold(delivery(1, "a"));
  leases.hold(delivery(1, "a"));
  leases.hold(delivery(2, "a"));
  expect(held.get(3)).toBe(2);
  leases.release((command) => command === "b");
  expect(acked).toEqual([]);
  leases.release((command) => command === "a");
  expect([acked, held.get(3), leases.size]).toEqual([[1, 2], 0, 0]);
});

test("what leaves with its partition is no longer counted, and not acknowledged", () => {
  const { leases, held, acked, delivery } = counted();
  leases.hold(delivery(1, "a"));
  leases.hold(delivery(2, "b", 4));
  leases.leave();
  expect([acked, held.get(3), held.get(4), leases.size]).toEqual([[], 0, 0, 0]);
});
