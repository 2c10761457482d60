/**
 * Somebody who sends commands while the servers are in trouble, and a worker that takes them; what
 * was acknowledged to the sender must come to the worker (I1).
 */
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { AppError } from "../../schemas/errors.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { type CommandQueue, consumeCommands, type Delivery } from "../../streams/queue/queue.ts";
import { joinWorkers, type Workers } from "../../streams/queue/workers.ts";
import { pulse } from "../support/pulse.ts";
import { type Client, newRef, partitions, secret } from "./system.ts";

export interface Sender {
  /** Ids of commands whose publishing was acknowledged. */
  readonly acknowledged: readonly string[];
  /** Codes of refusals; a refused command was sent again with the same id. */
  readonly refusals: readonly string[];
  /** Resolves when so many more commands were acknowledged. */
  more(count: number): Promise<void>;
  /** Resolves when so many refusals were met. */
  refused(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Sends one command after the other, each to another actor, and again while it is refused. */
export function startSender({ streams }: Client): Sender {
  const publisher = commandPublisher(streams, secret);
  const acknowledged: string[] = [];
  const refusals: string[] = [];
  const news = pulse();
  let stopped = false;
  const send = async (): Promise<void> => {
    const command = {
      ...{ ref: newRef(), name: "cancel", id: systemIds(), data: {} },
      ...{ by: { type: "user" as const, id: "ann" }, reply: null, traceparent: null },
    };
    while (!stopped) {
      try {
        await publisher.publish(command);
        acknowledged.push(command.id);
        return;
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        refusals.push(error.code);
      } finally {
        news.beat();
      }
    }
  };
  const done = (async () => {
    while (!stopped) await send();
  })();
  return {
    acknowledged,
    refusals,
    more: (count) => {
      const wanted = acknowledged.length + count;
      return Promise.race([news.until(() => acknowledged.length >= wanted), done]);
    },
    refused: (count) => Promise.race([news.until(() => refusals.length >= count), done]),
    async stop() {
      stopped = true;
      await done;
    },
  };
}

export interface Taker {
  readonly workers: Workers;
  readonly queue: CommandQueue;
  /** Ids of all deliveries, in order. */
  readonly taken: readonly string[];
  /** Partitions that were lost, in order. */
  readonly lost: readonly number[];
  /** Resolves when it holds, asked after every delivery, loss and change of membership. */
  until(holds: () => boolean): Promise<void>;
  stop(): Promise<void>;
}

/** A worker that does with each command what `onDelivery` says: by default it acknowledges it. */
export async function startTaker(
  { streams }: Client,
  onDelivery: (delivery: Delivery) => void = (delivery) => delivery.ack(),
): Promise<Taker> {
  const workers = await joinWorkers(streams, { id: systemIds(), clock: systemClock });
  const taken: string[] = [];
  const lost: number[] = [];
  const news = pulse();
  const unwatch = workers.changes(news.beat);
  const queue = consumeCommands({
    ...{ streams, secret, worker: workers, partitions },
    // Partitions that cannot be pulled while the server is away are the trouble we make.
    report: () => undefined,
    inbox: {
      deliver(deliveries) {
        for (const delivery of deliveries) {
          taken.push(delivery.id);
          onDelivery(delivery);
        }
        news.beat();
      },
      lost(partition) {
        lost.push(partition);
        news.beat();
      },
    },
  });
  return {
    ...{ workers, queue, taken, lost },
    until: news.until,
    async stop() {
      unwatch();
      await queue.stop();
      await workers.leave();
    },
  };
}
