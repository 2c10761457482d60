/**
 * Commands that come later: message schedules on `timer.…` whose target is the command's own subject,
 * so that they pass the partition transform and reach whoever owns the actor then. A schedule
 * survives every restart; one per key of an actor, a later one replaces it. It is signed, since only
 * a worker may ask for these. One that cannot be stored now is asked for again at the next load.
 */
import { headers } from "@nats-io/transport-node";
import type { WorkerCommand } from "../schemas/commands.ts";
import type { ActorRef, Ids } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { commandSubject, timerSubject } from "../schemas/subjects.ts";
import { bySigner } from "./by.ts";
import { by_header } from "./commands.ts";
import type { Streams } from "./connection.ts";

export interface Timers {
  /** At `at_ms` since 1970, at once when that is past. Returns at once. */
  set(ref: ActorRef, key: string, at_ms: number, command: WorkerCommand): void;
  /** Resolves when nothing is on its way any more. */
  settled(): Promise<void>;
}

export function openTimers(
  streams: Streams,
  options: {
    readonly worker: string;
    readonly secret: Uint8Array;
    readonly ids: Ids;
    readonly report: (problem: { what: string; ref?: ActorRef; error?: unknown }) => void;
  },
): Timers {
  const { worker, secret, ids, report } = options;
  const signer = bySigner(secret);
  const by = { type: "system" as const, id: worker };
  const pending = new Set<Promise<void>>();

  const store = async (
    ref: ActorRef,
    key: string,
    at_ms: number,
    { name, data }: WorkerCommand,
  ): Promise<void> => {
    // Made once: fired twice it takes effect once.
    const id = ids();
    const made = headers();
    made.set(by_header, signer.sign(by, ref.tenant, id));
    const publishing = streams.js.publish(
      timerSubject(ref, name, key),
      JSON.stringify({ id, data }),
      {
        headers: made,
        timeout: limits.append_timeout_ms,
        schedule: { specification: new Date(at_ms), target: commandSubject(ref, name) },
      },
    );
    await streams.tracked(publishing);
  };
  return {
    set(ref, ...timer) {
      // Bounded: what is dropped is asked for again.
      if (pending.size >= limits.timers_pending_max) return;
      const stored = store(ref, ...timer)
        .catch((error: unknown) => report({ what: "a timer could not be set", ref, error }))
        .finally(() => pending.delete(stored));
      pending.add(stored);
    },
    async settled() {
      await Promise.all(pending);
    },
  };
}
