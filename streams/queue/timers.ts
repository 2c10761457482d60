/**
 * Commands that come later: message schedules on `timer.…` whose target is the command's own subject,
 * so that they pass the partition transform and reach whoever owns the actor then. A schedule
 * survives every restart; one per key of an actor, a later one replaces it. It is signed, since only
 * a worker may ask for these. One that cannot be stored yet is tried again while we live.
 */
import { headers } from "@nats-io/transport-node";
import type { WorkerCommand } from "../../schemas/commands.ts";
import type { ActorRef, Clock, Ids } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandSubject, timerSubject } from "../../schemas/subjects.ts";
import { bySigner } from "./by.ts";
import { by_header } from "./commands.ts";
import type { Streams } from "../connection.ts";

export interface Timers {
  /** At `at_ms` since 1970, at once when that is past. Returns at once. */
  set(ref: ActorRef, key: string, at_ms: number, command: WorkerCommand): void;
  /** Resolves when nothing is on its way any more. */
  settled(): Promise<void>;
  /** What is not stored yet is not tried again. */
  stop(): void;
}

export function openTimers(
  streams: Streams,
  options: {
    readonly worker: string;
    readonly secret: Uint8Array;
    readonly clock: Clock;
    readonly ids: Ids;
    readonly report: (problem: { what: string; ref?: ActorRef; error?: unknown }) => void;
  },
): Timers {
  const { worker, secret, clock, ids, report } = options;
  const signer = bySigner(secret);
  const by = { type: "system" as const, id: worker };
  const pending = new Set<Promise<void>>();
  let stopped = false;

  const store = async (
    ref: ActorRef,
    key: string,
    at_ms: number,
    { name, data }: WorkerCommand,
  ): Promise<void> => {
    // Made once: fired twice it takes effect once.
    const id = ids();
    const signature = signer.sign(by, ref.tenant, id);
    const payload = JSON.stringify({ id, data });
    const target = commandSubject(ref, name);
    for (let tries = 0; !stopped; tries++) {
      try {
        const made = headers();
        made.set(by_header, signature);
        const publishing = streams.js.publish(timerSubject(ref, name, key), payload, {
          headers: made,
          timeout: limits.append_timeout_ms,
          schedule: { specification: new Date(at_ms), target },
        });
        await streams.tracked(publishing);
        return;
      } catch (error) {
        if (tries === 0) report({ what: "a timer could not be set yet", ref, error });
        await new Promise<void>(
          (resolve) => void clock.after(limits.runner_backoff_ms_max, resolve),
        );
      }
    }
  };
  return {
    set(ref, ...timer) {
      // What is dropped is asked for again when its actor is loaded the next time.
      if (stopped || pending.size >= limits.timers_pending_max) return;
      const stored = store(ref, ...timer).finally(() => pending.delete(stored));
      pending.add(stored);
    },
    async settled() {
      await Promise.all(pending);
    },
    stop() {
      stopped = true;
    },
  };
}
