/**
 * COMMANDS as the server keeps it: a work queue with one consumer for each partition, pinned to one
 * worker at a time. It does what JetStream was seen to do: a `working()` or an `ack()` counts for the
 * message whoever sends it, a pin moves when its holder does not pull for `pin_ms`, and what is
 * delivered again comes in any order.
 */
import type { NamedCommand } from "../../schemas/commands.ts";
import type { ActorRef, By } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Random } from "./random.ts";
import type { Schedule } from "./schedule.ts";

export interface Message {
  readonly sequence: number;
  readonly ref: ActorRef;
  readonly id: string;
  readonly command: NamedCommand;
  readonly by: By;
  readonly partition: number;
  /** Commits that its actor had when it was published. */
  readonly commits_before: number;
  deliveries: number;
  state: "open" | "acked" | "dead";
  /** Delivered and not answered: when it is delivered again. Waiting: when it may be delivered. */
  due_ms: number;
}

/** A worker's side of the pull. */
export interface Puller {
  readonly id: string;
  receive(partition: number, messages: readonly Message[], deliveries: readonly number[]): void;
}

export interface Queue {
  readonly messages: readonly Message[];
  publish(message: Omit<Message, "sequence" | "deliveries" | "state" | "due_ms">): Message;
  /** A pull; false when another worker holds the pin. */
  pull(puller: Puller, partition: number): boolean;
  /** Takes the pin from whoever holds it; any other that pulls gets it. */
  unpin(partition: number): void;
  /** No longer pulls. */
  leave(id: string, partition: number): void;
  ack(message: Message): void;
  working(message: Message): void;
  nak(message: Message, ms: number): void;
  bury(message: Message): void;
}

/** What one delivery may bring. */
const batch_max = 8;

export function createQueue(schedule: Schedule, random: Random, partitions: number): Queue {
  const messages: Message[] = [];
  const consumers = Array.from({ length: partitions }, () => ({
    /** When each worker last pulled. */
    pulled_ms: new Map<string, number>(),
    pullers: new Map<string, Puller>(),
    pinned: null as string | null,
  }));
  const { now, after } = schedule;

  const fresh = (partition: number, id: string): boolean =>
    now() - (consumers[partition]?.pulled_ms.get(id) ?? Number.NEGATIVE_INFINITY) < limits.pin_ms;
  const pump = (partition: number): void => {
    const consumer = consumers[partition];
    const puller = consumer?.pullers.get(consumer.pinned ?? "");
    if (puller === undefined || !fresh(partition, puller.id)) return;
    const due = messages.filter(
      (message) =>
        message.partition === partition && message.state === "open" && message.due_ms <= now(),
    );
    const some = random.shuffled(due).slice(0, batch_max);
    if (some.length === 0) return;
    for (const message of some) {
      message.deliveries += 1;
      message.due_ms = now() + limits.ack_wait_ms;
      look(message);
    }
    puller.receive(
      partition,
      some,
      some.map(({ deliveries }) => deliveries),
    );
    if (due.length > some.length) after(1, null, "more", () => pump(partition));
  };
  /** Looks at a message when it may be due. */
  const look = (message: Message): void => {
    after(message.due_ms - now(), null, "due?", () => {
      if (message.state !== "open") return;
      if (message.due_ms > now()) look(message);
      else pump(message.partition);
    });
  };
  const pin = (partition: number, id: string): void => {
    const consumer = consumers[partition];
    if (consumer === undefined) return;
    consumer.pinned = id;
    pump(partition);
  };

  return {
    messages,
    publish(asked) {
      const sequence = messages.length + 1;
      const message: Message = {
        ...{ ...asked, sequence, deliveries: 0, due_ms: now() },
        state: "open",
      };
      messages.push(message);
      pump(message.partition);
      return message;
    },
    pull(puller, partition) {
      const consumer = consumers[partition];
      if (consumer === undefined) return false;
      const { pinned } = consumer;
      consumer.pullers.set(puller.id, puller);
      const held = pinned !== null && pinned !== puller.id && fresh(partition, pinned);
      consumer.pulled_ms.set(puller.id, now());
      if (!held) pin(partition, puller.id);
      return !held;
    },
    unpin(partition) {
      const consumer = consumers[partition];
      if (consumer === undefined) return;
      const { pinned } = consumer;
      const others = [...consumer.pullers.keys()].filter(
        (id) => id !== pinned && fresh(partition, id),
      );
      consumer.pinned = null;
      const next = random.pick(others);
      if (next !== undefined) pin(partition, next);
    },
    leave(id, partition) {
      const consumer = consumers[partition];
      consumer?.pullers.delete(id);
      consumer?.pulled_ms.delete(id);
      if (consumer?.pinned === id) this.unpin(partition);
    },
    ack(message) {
      if (message.state === "open") message.state = "acked";
    },
    working(message) {
      message.due_ms = now() + limits.ack_wait_ms;
    },
    nak(message, ms) {
      if (message.state !== "open") return;
      message.due_ms = now() + ms;
      look(message);
    },
    bury(message) {
      if (message.state === "open") message.state = "dead";
    },
  };
}
