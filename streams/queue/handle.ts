/**
 * The handle of one delivered message: acks, renewals, the way back and the way to the dead letters,
 * all of which do nothing once the message may be another's. Acting on a lost message would remove
 * it from under its new owner, or keep it from being delivered when that one dies (both were seen).
 */
import type { JsMsg } from "@nats-io/jetstream";
import type { ErrorCode } from "../../schemas/errors.ts";
import type { ActorRef, Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../connection.ts";
import { bury } from "./dead-letters.ts";
import type { Pin } from "./lane.ts";

export interface Handle {
  readonly partition: number;
  /** Its sequence in COMMANDS: the stored order. */
  readonly sequence: number;
  /** 1 at the first delivery. */
  readonly deliveries: number;
  /** Done: the message leaves the queue. */
  ack(): void;
  /** Still held: it is not delivered again for another `ack_wait_ms`. */
  working(): void;
  /** Given back, to be delivered again after `ms`. */
  nak(ms: number): void;
  /** To the dead letters with the reason; calls back when it lies there, and leaves the queue. */
  dead(code: ErrorCode, reason: string, buried?: () => void): void;
}

/** A message as it came, with the pin it came under. */
export interface Arrival {
  readonly message: JsMsg;
  readonly pin: Pin;
  readonly at_ms: number;
}

export interface HandleParts {
  readonly streams: Streams;
  readonly clock: Clock;
  /** Burials that are under way; a stop waits for them. */
  readonly burials: Set<Promise<void>>;
  readonly report: (problem: { what: string; ref?: ActorRef; error?: unknown }) => void;
}

/** What is known of a message: null for a subject that names no actor, a payload without an id. */
export interface Known {
  readonly ref: ActorRef | null;
  readonly id: string | null;
}

export function handleOf(parts: HandleParts, arrival: Arrival, { ref, id }: Known): Handle {
  const { streams, clock, burials, report } = parts;
  const { message, pin } = arrival;
  let renewed_ms = arrival.at_ms;
  // Past `ack_wait` it may be somebody else's already, or ours again as another delivery.
  const good = (): boolean =>
    pin.ours && clock.now() - renewed_ms < limits.ack_wait_ms && !streams.nc.isClosed();

  const working = (): void => {
    if (!good()) return;
    message.working();
    renewed_ms = clock.now();
  };
  const ack = (): void => {
    if (good()) message.ack();
  };
  const nak = (ms: number): void => {
    if (good()) message.nak(ms);
  };
  const burial = async (code: ErrorCode, reason: string, buried: () => void): Promise<void> => {
    // Storing it may take longer than the queue waits for us.
    let cancel = (): void => undefined;
    const hold = (): void => {
      working();
      cancel = clock.after(limits.working_ms, hold);
    };
    hold();
    try {
      await bury(streams, message, { ref, id, code, reason });
      ack();
      buried();
    } catch (error) {
      const where = ref === null ? {} : { ref };
      report({ what: "a dead letter could not be stored", ...where, error });
      nak(limits.redelivery_ms[2]);
    } finally {
      cancel();
    }
  };
  return {
    partition: pin.partition,
    sequence: message.seq,
    deliveries: message.info.deliveryCount,
    ack,
    working,
    nak,
    dead(code, reason, buried = () => undefined) {
      const running = burial(code, reason, buried).finally(() => burials.delete(running));
      burials.add(running);
    },
  };
}
