/**
 * What a worker asks of an actor that may be another's: now, through COMMANDS, or later, as a message
 * schedule on `timer.…` whose target is the command's own subject, so that it passes the partition
 * transform. A schedule survives every restart; one per key of an actor, a later one replaces it.
 * Signed, since only a worker may ask for these. Tried until the server has it, while we live.
 */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import type { WorkerCommand } from "../schemas/commands.ts";
import type { ActorRef, Clock, Ids } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { commandSubject, timerSubject } from "../schemas/subjects.ts";
import { bySigner } from "./by.ts";
import { by_header } from "./commands.ts";
import type { Streams } from "./connection.ts";

export interface Outbox {
  send(ref: ActorRef, command: WorkerCommand): void;
  /** Delivered at `at_ms` since 1970, at once when that is past. */
  schedule(ref: ActorRef, key: string, at_ms: number, command: WorkerCommand): void;
  /** Resolves when all that was asked for is stored, or after `ms`; nothing is tried after that. */
  stop(ms: number): Promise<void>;
}

export function openOutbox(
  streams: Streams,
  options: {
    readonly worker: string;
    readonly secret: Uint8Array;
    readonly clock: Clock;
    readonly ids: Ids;
    readonly report: (problem: { what: string; ref?: ActorRef; error?: unknown }) => void;
  },
): Outbox {
  const { worker, clock, ids, report } = options;
  const signer = bySigner(options.secret);
  const by = { type: "system" as const, id: worker };
  const pending = new Set<Promise<void>>();
  let stopped = false;

  /** Publishes until it is stored. The same command twice is harmless: its id is made once. */
  const deliver = async (
    ref: ActorRef,
    { name, data }: WorkerCommand,
    at: { readonly key: string; readonly ms: number } | null,
  ): Promise<void> => {
    const id = ids();
    const payload = JSON.stringify({ id, data });
    const signature = await signer.sign(by, ref.tenant, id);
    const target = commandSubject(ref, name);
    for (let tries = 0; !stopped; tries++) {
      try {
        const options_ = { headers: signed(signature), timeout: limits.append_timeout_ms };
        const published =
          at === null
            ? streams.js.publish(target, payload, options_)
            : streams.js.publish(timerSubject(ref, name, at.key), payload, {
                ...options_,
                schedule: { specification: new Date(at.ms), target },
              });
        await streams.tracked(published);
        return;
      } catch (error) {
        if (tries === 0) report({ what: `a ${name} could not be sent yet`, ref, error });
        await new Promise<void>(
          (resolve) => void clock.after(limits.runner_backoff_ms_max, resolve),
        );
      }
    }
  };
  const post = (...asked: Parameters<typeof deliver>): void => {
    if (stopped || pending.size >= limits.outbox_max) {
      report({ what: `a ${asked[1].name} was dropped: too many are on their way`, ref: asked[0] });
      return;
    }
    const posted = deliver(...asked).finally(() => pending.delete(posted));
    pending.add(posted);
  };
  return {
    send: (ref, command) => post(ref, command, null),
    schedule: (ref, key, at_ms, command) => post(ref, command, { key, ms: at_ms }),
    async stop(ms) {
      await new Promise<void>((resolve) => {
        const cancel = clock.after(ms, resolve);
        void Promise.allSettled([...pending]).then(() => {
          cancel();
          resolve();
        });
      });
      stopped = true;
    },
  };
}

/** The client writes into the headers that it is given, so they are fresh for every publish. */
function signed(signature: string): MsgHdrs {
  const made = headers();
  made.set(by_header, signature);
  return made;
}
