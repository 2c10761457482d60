/** Puts messages onto a subject that is not ours, for integrations; nothing of our own is kept of them. */
import { headers } from "@nats-io/transport-node";
import type { Streams } from "../connection.ts";

/** Messages that are handed to the client before we wait for the server to have them. */
const unflushed_max = 256;

export interface ForeignSubject {
  /** A stream of theirs keeps what has this id once, however often it comes in its window. */
  put(id: string, json: string): Promise<void>;
  /** Until the server has all of it. */
  flush(): Promise<void>;
}

/** The caller has asked `isForeignSubject`. */
export function foreignSubject(streams: Streams, subject: string): ForeignSubject {
  let sent = 0;
  return {
    async put(id, json) {
      const made = headers();
      made.set("Nats-Msg-Id", id);
      streams.nc.publish(subject, json, { headers: made });
      if (++sent % unflushed_max === 0) await streams.nc.flush();
    },
    flush: () => streams.nc.flush(),
  };
}
