/**
 * How one worker pulls, by the rules of `streams/queue/queue.ts` and `streams/queue/lane.ts`, with the real
 * handles of `streams/queue/handle.ts`: what keeps a stale owner from touching a message is under test.
 */
import type { JsMsg } from "@nats-io/jetstream";
import type { Delivery, Inbox } from "../../actors/ports.ts";
import { limits } from "../../schemas/limits.ts";
import { assignment } from "../../streams/queue/assignment.ts";
import type { Streams } from "../../streams/connection.ts";
import { handleOf } from "../../streams/queue/handle.ts";
import type { Pin } from "../../streams/queue/lane.ts";
import type { View } from "./membership.ts";
import type { Message, Puller, Queue } from "./queue.ts";
import type { Life, Schedule } from "./schedule.ts";

export interface Lanes {
  /** Pulls, and shares the partitions out among the members: once a heartbeat. */
  tick(lapsed: boolean): void;
  /** Stops pulling; handles stay good, so that the host can give back. */
  stop(): void;
}

interface Lane {
  pin: Pin | null;
  since_ms: number | null;
  /** While it gives another the time to take the pin. */
  rests_until_ms: number;
}

export function createLanes(parts: {
  readonly schedule: Schedule;
  readonly queue: Queue;
  readonly life: Life;
  readonly view: View;
  readonly inbox: Inbox;
  readonly partitions: number;
  /** A message to the server: it may be late, and lost. */
  send(what: string, arrive: () => void): void;
  /** A message from the server. */
  latency(): number;
  report(problem: { what: string; error?: unknown }): void;
}): Lanes {
  const { schedule, queue, life, view, inbox, partitions, send, latency, report } = parts;
  const clock = schedule.clockOf(life);
  const lanes = new Map<number, Lane>();
  const released = new Map<number, Lane>();
  let ranks: ReadonlyMap<number, number> = new Map();

  const lose = (partition: number, lane: Lane): void => {
    lane.since_ms = null;
    if (lane.pin === null) return;
    lane.pin.ours = false;
    lane.pin = null;
    inbox.lost(partition);
  };
  const deliveryOf = (message: Message, deliveries: number, pin: Pin): Delivery => {
    const { ref, id, command, by, sequence } = message;
    const streams = {
      nc: { isClosed: () => !life.alive },
      js: { publish: () => Promise.resolve() },
      tracked: <T>(request: Promise<T>) => request,
    };
    let renewed_ms = clock.now();
    /** What a worker does to a message that may be another's. */
    const use = (what: string, arrive: () => void): void => {
      const mine = pin.ours && clock.now() - renewed_ms < limits.ack_wait_ms;
      if (!mine) report({ what: `I7: ${what} ${sequence} by a stale owner` });
      send(`${what} ${sequence}`, arrive);
    };
    const raw = {
      ...{ seq: sequence, info: { deliveryCount: deliveries }, timestampNanos: 0n },
      ...{ subject: "cmd", data: new Uint8Array(), headers: undefined },
      ack: () => use("ack", () => queue.ack(message)),
      nak: (ms: number) => use("nak", () => queue.nak(message, ms)),
      working() {
        use("working", () => queue.working(message));
        renewed_ms = clock.now();
      },
    };
    const handle = handleOf(
      // The parts of a connection and of a message that a handle uses.
      { streams: streams as object as Streams, clock, burials: new Set(), report },
      { message: raw as object as JsMsg, pin, at_ms: clock.now() },
      message,
    );
    return {
      ...{ ...handle, ref, id, command, by, traceparent: null, reply: String(sequence) },
      dead: () => queue.bury(message),
    };
  };
  const puller: Puller = {
    id: view.id,
    receive(partition, messages, deliveries) {
      const sent_ms = schedule.now();
      schedule.after(latency(), life, `delivery of ${messages.length}`, () => {
        // It lay in the buffers of a process that stood still, which begins anew.
        if (clock.now() - sent_ms >= limits.ack_wait_ms) return loseAll();
        const lane = lanes.get(partition) ?? released.get(partition);
        if (lane === undefined) return;
        const pin = (lane.pin ??= { partition, ours: true });
        lane.since_ms ??= clock.now();
        inbox.deliver(messages.map((message, at) => deliveryOf(message, deliveries[at] ?? 1, pin)));
      });
    },
  };
  const loseAll = (): void => {
    for (const [partition, lane] of [...lanes, ...released]) lose(partition, lane);
    released.clear();
  };
  const release = (partition: number, lane: Lane): void => {
    lane.since_ms = null;
    queue.leave(view.id, partition);
  };
  let shared = "";
  const share = (): void => {
    const members = view.members();
    if (members.join() === shared) return;
    shared = members.join();
    ranks = assignment(view.id, members, partitions);
    for (const [partition, lane] of lanes) {
      if (ranks.has(partition)) continue;
      lanes.delete(partition);
      const before = released.get(partition);
      if (before !== undefined) lose(partition, before);
      released.set(partition, lane);
      release(partition, lane);
    }
    for (const partition of ranks.keys()) {
      if (lanes.has(partition)) continue;
      lanes.set(partition, { pin: null, since_ms: null, rests_until_ms: 0 });
    }
  };

  return {
    tick(lapsed) {
      if (lapsed) loseAll();
      share();
      for (const [partition, lane] of lanes) {
        if (lane.rests_until_ms > clock.now()) continue;
        const ours = queue.pull(puller, partition);
        if (!ours && lane.since_ms !== null) lose(partition, lane);
        const first = ranks.get(partition) === 0;
        const held_ms = lane.since_ms === null ? 0 : clock.now() - lane.since_ms;
        if (first || held_ms <= limits.worker_ttl_ms + limits.worker_beat_ms) continue;
        lane.rests_until_ms = clock.now() + limits.pin_ms;
        release(partition, lane);
      }
    },
    stop() {
      for (const [partition, lane] of lanes) release(partition, lane);
    },
  };
}
