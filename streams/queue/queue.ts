/**
 * The command queue: pulls this worker's partitions and hands what arrives in one go to the inbox.
 * Ownership here is affinity, not safety: two owners at once are possible for seconds and harmless,
 * since every decision must win its append. A malformed command is answered, buried and acked; it
 * disturbs nobody else.
 */
import type { JsMsg } from "@nats-io/jetstream";
import type { NamedCommand, Reply } from "../../schemas/commands.ts";
import { errorBody } from "../../schemas/errors.ts";
import { type ActorRef, type By, type Clock, systemClock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { assignment } from "./assignment.ts";
import { bySigner } from "./by.ts";
import type { Streams } from "../connection.ts";
import { readCommand } from "./delivery.ts";
import { type Arrival, type Handle, handleOf } from "./handle.ts";
import { type Lane, type Pin, pullPartition } from "./lane.ts";
import { replyPort } from "../live/replies.ts";
import type { Workers } from "./workers.ts";

/** One delivery of one command's message. */
export interface Delivery extends Handle {
  readonly ref: ActorRef;
  readonly id: string;
  readonly command: NamedCommand;
  readonly by: By;
  readonly traceparent: string | null;
  /** Where the answer goes; null when nobody asked for one. */
  readonly reply: string | null;
}

/** What the queue calls; neither blocks nor throws. */
export interface Inbox {
  deliver(deliveries: readonly Delivery[]): void;
  /** The partition's messages are no longer ours: their handles are dead. */
  lost(partition: number): void;
}

export interface QueueOptions {
  readonly streams: Streams;
  /** Checks who signed for a command. */
  readonly secret: Uint8Array;
  /** Those that are believed besides, while the secret is replaced. */
  readonly previousSecrets?: readonly Uint8Array[];
  readonly worker: Workers;
  readonly partitions: number;
  readonly inbox: Inbox;
  readonly report: (problem: { what: string; ref?: ActorRef; error?: unknown }) => void;
  readonly clock?: Clock;
}

export interface CommandQueue {
  /** The partitions that we hold, or are the first to hold. */
  owned(): number[];
  /** Stops pulling and gives the pins away; handles stay good, so that the host can give back. */
  stop(): Promise<void>;
}

/** Pulls the partitions that rendezvous hashing gives this worker, until it is stopped. */
export function consumeCommands(options: QueueOptions): CommandQueue {
  const { streams, worker, partitions, inbox, report } = options;
  const clock = options.clock ?? systemClock;
  const burials = new Set<Promise<void>>();
  const arrive = gathering(options, clock, burials);
  const lanes = new Map<number, Lane>();
  /** Lanes that we no longer pull, but whose handles are still good. */
  const released = new Map<number, Lane>();
  let ranks = new Map<number, number>() as ReadonlyMap<number, number>;
  let stopped = false;
  let linked = true;
  let cancelLoss = (): void => undefined;

  const start = (partition: number): Lane =>
    pullPartition({
      streams,
      partition,
      clock,
      onMessage(message, pin) {
        // Whichever comes first after a standstill: a message or the clock.
        if (!stalled()) arrive(message, pin);
      },
      onLost: (lost) => inbox.lost(lost),
      onProblem: (error) => report({ what: `partition ${partition} could not be pulled`, error }),
    });
  const loseAll = (): void => {
    for (const lane of [...lanes.values(), ...released.values()]) lane.lose();
    released.clear();
  };
  let since_ms = worker.since_ms();
  const share = (): void => {
    const members = worker.members();
    const before_ms = since_ms;
    since_ms = worker.since_ms();
    // Also when it lapsed and was made anew since we last looked.
    if (!members.includes(worker.id) || since_ms !== before_ms) loseAll();
    ranks = assignment(worker.id, members, partitions);
    for (const [partition, lane] of lanes) {
      if (ranks.has(partition)) continue;
      lanes.delete(partition);
      released.get(partition)?.lose();
      released.set(partition, lane);
      void lane.stop();
    }
    for (const partition of ranks.keys()) {
      if (!lanes.has(partition)) lanes.set(partition, start(partition));
    }
  };
  /** Gives pins to the first choices that have beaten since we hold them, so they are alive. */
  const handOver = (): void => {
    const now_ms = clock.now();
    const members = worker.members();
    if (!members.includes(worker.id)) return;
    for (const [partition, lane] of lanes) {
      const since_ms = lane.pinned_since_ms();
      if (since_ms === null || ranks.get(partition) === 0) continue;
      if (now_ms - since_ms > limits.worker_ttl_ms + limits.worker_beat_ms) void lane.handOver();
    }
  };
  let handed_ms = clock.now();
  let ticked_ms = clock.now();
  /**
   * A process that stood still (SIGSTOP, a suspended machine) finds in its buffers what was given to
   * others long ago, and would take their turns over. So it begins anew.
   */
  const stalled = (): boolean => {
    const gap_ms = clock.now() - ticked_ms;
    ticked_ms = clock.now();
    if (gap_ms < limits.ack_wait_ms) return false;
    report({ what: `this process stood still for ${gap_ms} ms; it begins to pull anew` });
    loseAll();
    for (const lane of lanes.values()) lane.restart();
    return true;
  };
  const tick = (): (() => void) =>
    clock.after(limits.working_ms / 2, () => {
      stalled();
      if (clock.now() - handed_ms >= limits.worker_beat_ms) {
        handed_ms = clock.now();
        handOver();
      }
      cancelTick = tick();
    });

  const ends = [
    worker.changes(share),
    streams.onLink((up) => {
      linked = up;
      cancelLoss();
      // By then what we hold is being delivered to somebody else.
      if (!up) cancelLoss = clock.after(limits.ack_wait_ms, loseAll);
    }),
  ];
  let cancelTick = tick();
  worker.announce(
    () =>
      new Map(
        [...lanes].flatMap(([partition, lane]) => {
          const pin = lane.pinned_as();
          return pin === null ? [] : [[partition, pin]];
        }),
      ),
  );
  share();

  return {
    owned() {
      if (stopped || !linked || !worker.members().includes(worker.id)) return [];
      const ours = [...lanes].filter(
        ([partition, lane]) => lane.pinned() || ranks.get(partition) === 0,
      );
      return ours.map(([partition]) => partition).sort((one, other) => one - other);
    },
    async stop() {
      stopped = true;
      for (const end of ends) end();
      cancelTick();
      await Promise.all([...lanes.values()].map((lane) => lane.stop()));
      await Promise.all(burials);
    },
  };
}

/** Gathers what arrives, checks it, and hands it on; the result takes one message. */
function gathering(
  { streams, secret, previousSecrets, inbox, report }: QueueOptions,
  clock: Clock,
  burials: Set<Promise<void>>,
): (message: JsMsg, pin: Pin) => void {
  const signer = bySigner(secret, previousSecrets);
  const replies = replyPort(streams);
  const parts = { streams, clock, burials, report };
  let arrived: Arrival[] = [];

  const read = (some: readonly Arrival[]): void => {
    const deliveries: Delivery[] = [];
    for (const arrival of some) {
      if (!arrival.pin.ours) continue;
      const result = readCommand(arrival.message, signer);
      if (result.ok) {
        const { accepted } = result;
        deliveries.push({ ...accepted, ...handleOf(parts, arrival, accepted) });
        continue;
      }
      const { code, reason, answer } = result.refused;
      if (answer !== null) {
        const reply: Reply = { command: answer.command, ok: false, error: errorBody(code, reason) };
        replies.answer(answer.reply, reply);
      }
      handleOf(parts, arrival, result.refused).dead(code, reason);
    }
    if (deliveries.length > 0) inbox.deliver(deliveries);
  };
  const gather = (): void => {
    const some = arrived;
    arrived = [];
    // What fails here is delivered again when its time is over.
    try {
      read(some);
    } catch (error) {
      report({ what: "commands could not be read", error });
    }
  };
  return (message, pin) => {
    // What the socket gives in one turn of the loop is one delivery: redelivered messages come in
    // any order (seen: D before C), and the host sorts what it gets in one go.
    if (arrived.length === 0) setImmediate(gather);
    arrived.push({ message, pin, at_ms: clock.now() });
  };
}
