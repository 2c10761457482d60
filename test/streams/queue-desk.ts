/**
 * The command queue of one test on a server of its own: who sends commands to it, and workers in this
 * process that keep what they get. `startQueueDesk` begins one before each test and ends it after.
 */
import { afterEach, beforeEach } from "vitest";
import { type ActorRef, systemClock, systemIds } from "../../schemas/ids.ts";
import { commandPublisher, type OutgoingCommand } from "../../streams/queue/commands.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { consumeCommands, type CommandQueue, type Delivery } from "../../streams/queue/queue.ts";
import { joinWorkers, type Workers } from "../../streams/queue/workers.ts";
import { newRef, partitions, secret, startSystem, type System } from "./system.ts";

/** A worker in this process that keeps what it gets. */
interface Worker {
  readonly queue: CommandQueue;
  readonly workers: Workers;
  readonly got: Delivery[];
  /** How much came in one go. */
  readonly goes: number[];
  readonly lost: number[];
  readonly problems: string[];
}

interface QueueDesk {
  readonly system: System;
  /** Called when the test is over, the last first. */
  readonly ends: (() => Promise<void> | void)[];
  /** A worker that does with each command what `onDelivery` says: by default it acknowledges it. */
  work(onDelivery?: (delivery: Delivery) => void): Promise<Worker>;
  /** Publishes a command, `cancel` by default, and gives its id once it is stored. */
  send(ref?: ActorRef, more?: Partial<OutgoingCommand>): Promise<string>;
  /** How many commands are in the queue. */
  waiting(): Promise<number>;
  /** How many dead letters there are. */
  dead(): Promise<number>;
}

export const idsOf = ({ got }: Pick<Worker, "got">): string[] => got.map(({ id }) => id).sort();

function openDesk(system: System): QueueDesk {
  const ends: (() => Promise<void> | void)[] = [() => system.stop()];
  const publisher = commandPublisher(system.streams, secret);
  const messages = async (stream: string): Promise<number> =>
    (await system.streams.jsm.streams.info(stream)).state.messages;
  return {
    system,
    ends,
    async work(onDelivery = (delivery) => delivery.ack()) {
      const { streams } = await system.client();
      const workers = await joinWorkers(streams, { id: systemIds(), clock: systemClock });
      const kept = {
        got: [] as Delivery[],
        goes: [] as number[],
        lost: [] as number[],
        problems: [] as string[],
      };
      const queue = consumeCommands({
        ...{ streams, secret, worker: workers, partitions },
        report: ({ what, error }) => kept.problems.push(`${what}: ${String(error)}`),
        inbox: {
          deliver(deliveries) {
            kept.goes.push(deliveries.length);
            kept.got.push(...deliveries);
            for (const delivery of deliveries) onDelivery(delivery);
          },
          lost: (partition) => kept.lost.push(partition),
        },
      });
      ends.push(async () => {
        await queue.stop();
        await workers.leave();
      });
      return { ...kept, queue, workers };
    },
    async send(ref = newRef(), more = {}) {
      const outgoing: OutgoingCommand = {
        ...{ ref, name: "cancel", id: systemIds(), data: {} },
        ...{ by: { type: "user", id: "ann" }, reply: null, traceparent: null, ...more },
      };
      await publisher.publish(outgoing);
      return outgoing.id;
    },
    waiting: () => messages("COMMANDS"),
    dead: () => messages("DEAD"),
  };
}

/** The desk of the test that runs; to be asked for in a test, not before. */
export function startQueueDesk(): () => QueueDesk {
  let desk: QueueDesk | null = null;
  beforeEach(async () => {
    const system = await startSystem();
    desk = openDesk(system);
    await ensureConsumers(system.streams, partitions);
  });
  afterEach(async () => {
    for (const end of desk?.ends.splice(0).reverse() ?? []) await end();
    desk = null;
  });
  return () => {
    if (desk === null) throw new Error("no test is running");
    return desk;
  };
}
