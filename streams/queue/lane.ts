/**
 * One partition of COMMANDS as one worker pulls it: who holds the pin, how it is lost, how it is
 * handed to the first choice. The server pins whoever pulls first, so a stand-by may hold a pin for
 * years; it gives it up once the first choice has proved to be alive for a whole TTL.
 */
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../connection.ts";
import { consumerName, owner_group } from "./consumers.ts";
import { commands_stream } from "../topology.ts";

/** What makes handles good: all those that came under it die with it. */
export interface Pin {
  readonly partition: number;
  ours: boolean;
}

export interface Lane {
  /** Whether messages come to us, as far as we know. */
  pinned(): boolean;
  /** Since when; null while they do not. */
  pinned_since_ms(): number | null;
  /**
   * What the server called the last pin that it gave us; null when it gave none. It may be ours still
   * when every handle is dead, and another's by now: nobody else ever has the same.
   */
  pinned_as(): string | null;
  /** The pin is gone: every handle dies at once, and `onLost` is called if there was any. */
  lose(): void;
  /** Drops what is on its way to us, and pulls anew. */
  restart(): void;
  /** Gives the pin away and pulls again when another had time to take it; handles stay good. */
  handOver(): Promise<void>;
  /** Stops pulling and gives the pin away; handles stay good until `lose`. */
  stop(): Promise<void>;
}

/** Messages that may be on their way to us beside those that the host holds. */
const pulled_max = 256;
const restart_ms = 500;
/** Names the pin under which the server gives a message. */
const pin_header = "Nats-Pin-Id";

/** Starts to pull; goes on after every failure until it is stopped. */
export function pullPartition(parts: {
  readonly streams: Streams;
  readonly partition: number;
  readonly clock: Clock;
  readonly onMessage: (message: JsMsg, pin: Pin) => void;
  readonly onLost: (partition: number) => void;
  readonly onProblem: (error: unknown) => void;
}): Lane {
  const { streams, partition, clock, onMessage, onLost, onProblem } = parts;
  const name = consumerName(partition);
  let pin: Pin | null = null;
  let named: string | null = null;
  let since_ms: number | null = null;
  let messages: ConsumerMessages | null = null;
  let stopped = false;
  let cancel = (): void => undefined;

  const lose = (): void => {
    since_ms = null;
    if (pin === null) return;
    pin.ours = false;
    pin = null;
    onLost(partition);
  };
  const listen = async (pulling: ConsumerMessages): Promise<void> => {
    for await (const { type } of pulling.status()) if (type === "consumer_unpinned") lose();
  };
  const later = (ms: number): void => {
    cancel();
    if (!stopped) cancel = clock.after(ms, () => void pull());
  };
  const pull = async (): Promise<void> => {
    try {
      const consumer = await streams.js.consumers.get(commands_stream, name);
      if (stopped || messages !== null) return;
      const pulling = await consumer.consume({
        group: owner_group,
        max_messages: pulled_max,
        expires: limits.pull_expires_ms,
        // Without it every missed heartbeat would ask for the consumer's state.
        bind: true,
        callback(message) {
          pin ??= { partition, ours: true };
          named = message.headers?.get(pin_header) ?? "";
          since_ms ??= clock.now();
          onMessage(message, pin);
        },
      });
      messages = pulling;
      void listen(pulling);
      const error = await pulling.closed();
      if (messages !== pulling) return; // we ended it ourselves
      messages = null;
      if (error instanceof Error) onProblem(error);
    } catch (error) {
      onProblem(error);
    }
    // Not while the connection is ended for good.
    if (!streams.nc.isClosed()) later(restart_ms);
  };
  const release = async (): Promise<void> => {
    const pulling = messages;
    const held = since_ms !== null;
    messages = null;
    since_ms = null;
    pulling?.stop();
    if (!held || streams.nc.isClosed()) return;
    // One that fails costs the next owner the pin's own time-out.
    const unpinned = streams.jsm.consumers.unpin(commands_stream, name, owner_group);
    await streams.tracked(unpinned).catch(() => undefined);
  };

  void pull();
  return {
    pinned: () => since_ms !== null,
    pinned_since_ms: () => since_ms,
    pinned_as: () => named,
    lose,
    restart() {
      messages?.stop();
      messages = null;
      later(0);
    },
    async handOver() {
      await release();
      later(limits.pin_ms);
    },
    async stop() {
      stopped = true;
      cancel();
      await release();
    },
  };
}
