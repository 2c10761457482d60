/**
 * A core subscription that somebody follows: when it is heard by the server, and how it ends. What
 * a callback throws is reported, never thrown into the client, which would drop the subscription.
 */
import type { Msg } from "@nats-io/transport-node";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";

export interface Following {
  /**
   * Flushed: nothing stored after this is missed. Rejects with `AppError("unavailable")`. Asked for
   * only by who looks: what the same connection is asked behind the subscription is answered behind it.
   */
  readonly ready: Promise<void>;
  stop(): void;
}

/** What went wrong with something that was followed; it goes on. */
export type OnProblem = (problem: unknown) => void;

/** Subscribes; messages come in the order of the connection. */
export function follow(
  streams: Streams,
  subject: string,
  onMessage: (message: Msg) => void,
  onProblem: OnProblem = () => undefined,
): Following {
  const { nc } = streams;
  const subscription = nc.subscribe(subject, {
    callback(error, message) {
      if (error !== null) return onProblem(error);
      try {
        return onMessage(message);
      } catch (problem) {
        return onProblem(problem);
      }
    },
  });
  let ready: Promise<void> | null = null;
  const flush = (): Promise<void> => {
    const flushed = streams.tracked(nc.flush()).catch((cause: unknown) => {
      throw unavailable(`${subject} cannot be followed`, cause);
    });
    // Whoever does not wait for it shall not end the process by its failure.
    flushed.catch(() => undefined);
    return flushed;
  };
  return {
    get ready() {
      return (ready ??= flush());
    },
    stop: () => subscription.unsubscribe(),
  };
}
