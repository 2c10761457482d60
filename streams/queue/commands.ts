/**
 * Publishes commands. Resolved means stored (I1). No `Nats-Msg-Id`: the stream's window would
 * swallow a repeat, even another tenant's; the actor judges repeats and answers them again.
 */
import { JetStreamApiError } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { AppError } from "../../schemas/errors.ts";
import type { ActorRef, By } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandSubject } from "../../schemas/subjects.ts";
import { bySigner } from "./by.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";

export const by_header = "Colloquy-By";
export const reply_header = "Colloquy-Reply";
export const trace_header = "traceparent";

/** A command on its way to `cmd.…`. */
export interface OutgoingCommand {
  readonly ref: ActorRef;
  readonly name: string;
  readonly id: string;
  readonly data: object;
  readonly by: By;
  /** As `Signed` has it; false when absent. */
  readonly manages?: boolean;
  /** Where the answer goes: `reply.<tenant>.…`; null for nowhere. */
  readonly reply: string | null;
  readonly traceparent: string | null;
}

export interface CommandPublisher {
  /**
   * Resolves when the command is stored. Throws `AppError`: `too_large`, or `unavailable`, after
   * which the command may be stored all the same: send it again with the same id.
   */
  publish(command: OutgoingCommand): Promise<void>;
}

/** JetStream's code for a message over `max_msg_size`. */
const message_too_large = 10054;

/** `secret` signs who a command is by. */
export function commandPublisher(streams: Streams, secret: Uint8Array): CommandPublisher {
  const signer = bySigner(secret);
  let turn: Promise<void> | null = null;
  /** Resolves when the loop has read all its sockets. */
  const readOut = (): Promise<void> =>
    (turn ??= new Promise((resolve) =>
      setImmediate(() => {
        turn = null;
        resolve();
      }),
    ));
  return {
    async publish({ ref, name, id, data, by, manages = false, reply, traceparent }) {
      const subject = commandSubject(ref, name);
      const payload = JSON.stringify({ id, data });
      if (Buffer.byteLength(payload) > limits.command_bytes_max) throw new AppError("too_large");
      const signature = signer.sign(by, ref.tenant, id, manages);
      const made = headers();
      made.set(by_header, signature);
      if (reply !== null) made.set(reply_header, reply);
      if (traceparent !== null) made.set(trace_header, traceparent);
      // Commands of many sockets leave in one write: one each was a sixth of a command's CPU.
      await readOut();
      try {
        const options = { headers: made, timeout: limits.append_timeout_ms };
        await streams.tracked(streams.js.publish(subject, payload, options));
      } catch (cause) {
        if (cause instanceof JetStreamApiError && cause.code === message_too_large) {
          throw new AppError("too_large", undefined, { cause });
        }
        throw unavailable("The command could not be stored", cause);
      }
    },
  };
}
