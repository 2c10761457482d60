/**
 * How one worker asks another whether it runs an attempt. A worker that lives, but was made to stop
 * (its partition moved), is found out neither by its entry in `WORKERS` nor by a message that somebody
 * else holds; so it is asked itself. Core messages: no answer means nothing.
 */
import {
  isWorkerAsk,
  isWorkerTold,
  type WorkerAsk,
  type WorkerTold,
} from "../../schemas/asking.ts";
import type { ActorRef, Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { workerSubject } from "../../schemas/subjects.ts";
import { parseJson } from "../../schemas/validate.ts";
import type { Streams } from "../connection.ts";
import { follow } from "../live/following.ts";

interface Attempt {
  readonly turn: string;
  readonly attempt: number;
}
type Answer = (ref: ActorRef, attempt: Attempt) => boolean;

export interface Asking {
  /** Whether that worker runs an attempt, or is about to; null when it does not answer in time. */
  ask(worker: string, ref: ActorRef, attempt: Attempt): Promise<boolean | null>;
  /** What answers when others ask; the result ends it. */
  answer(call: Answer): () => void;
  stop(): void;
}

/** Listens for worker `id`. */
export function openAsking(streams: Streams, options: { id: string; clock: Clock }): Asking {
  const { id, clock } = options;
  const open = new Map<number, (runs: boolean | null) => void>();
  let made = 0;
  let answering: Answer | null = null;
  const say = (worker: string, message: WorkerAsk | WorkerTold): void => {
    if (!streams.nc.isClosed()) streams.nc.publish(workerSubject(worker), JSON.stringify(message));
  };
  const following = follow(streams, workerSubject(id), (message) => {
    const heard = parseJson(message.string());
    if (isWorkerTold(heard)) {
      open.get(heard.told)?.(heard.runs);
    } else if (isWorkerAsk(heard) && answering !== null) {
      const { ask, from, tenant, kind, id: actor, turn, attempt } = heard;
      say(from, { told: ask, runs: answering({ tenant, kind, id: actor }, { turn, attempt }) });
    }
  });
  return {
    ask(worker, { tenant, kind, id: actor }, { turn, attempt }) {
      if (open.size >= limits.worker_asks_max) return Promise.resolve(null);
      return new Promise((resolve) => {
        const ask = ++made;
        const end = (runs: boolean | null): void => {
          cancel();
          open.delete(ask);
          resolve(runs);
        };
        const cancel = clock.after(limits.worker_ask_ms, () => end(null));
        open.set(ask, end);
        say(worker, { ask, from: id, tenant, kind, id: actor, turn, attempt });
      });
    },
    answer(call) {
      answering = call;
      return () => (answering = null);
    },
    stop: () => following.stop(),
  };
}
