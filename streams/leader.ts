/** What the leader of EVENTS has: replicas may lag, so whatever must be certain is asked of it. */
import type { MsgRequest, StoredMsg } from "@nats-io/jetstream";
import type { Streams } from "./connection.ts";
import { events_stream } from "./topology.ts";

export const fromLeader = (streams: Streams, query: MsgRequest): Promise<StoredMsg | null> =>
  streams.tracked(streams.jsm.streams.getMessage(events_stream, query));

/** The first message of `subject` from `seq` on, from the leader. */
export const nextFromLeader = (
  streams: Streams,
  subject: string,
  seq: number,
): Promise<StoredMsg | null> => {
  // The server takes `next_by_subj` here as it does in a direct get; the client's type only lacks it.
  const query = { seq, next_by_subj: subject };
  return fromLeader(streams, query);
};
