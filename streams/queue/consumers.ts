/**
 * The durable consumers of COMMANDS, one per partition: pinned to one worker at a time, explicit
 * acks, delivered again for ever (what is never handled becomes a dead letter by the host's count).
 */
import type { ConsumerConfig } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { limits } from "../../schemas/limits.ts";
import { partitionFilter } from "../../schemas/subjects.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { settled } from "../provision.ts";
import { commands_stream } from "../topology.ts";

/** The one priority group; who pulls in it may become its pinned client. */
export const owner_group = "owner";

export const consumerName = (partition: number): string => `p${partition}`;

const consumer = (partition: number): Partial<ConsumerConfig> => ({
  durable_name: consumerName(partition),
  filter_subject: partitionFilter(partition),
  deliver_policy: "all",
  ack_policy: "explicit",
  ack_wait: nanos(limits.ack_wait_ms),
  max_deliver: -1,
  max_ack_pending: limits.ack_pending_max,
  priority_groups: [owner_group],
  priority_policy: "pinned_client",
  priority_timeout: nanos(limits.pin_ms),
});

/** Makes the consumers, or makes them match; safe to repeat. Throws `AppError("unavailable")`. */
export async function ensureConsumers(streams: Streams, partitions: number): Promise<void> {
  const { consumers } = streams.jsm;
  for (let partition = 0; partition < partitions; partition++) {
    const wanted = consumer(partition);
    try {
      // Refused when it exists with other settings, which then are brought up to date.
      await settled(() => consumers.add(commands_stream, wanted)).catch(() =>
        settled(() => consumers.update(commands_stream, consumerName(partition), wanted)),
      );
    } catch (cause) {
      throw unavailable(`The consumer of partition ${partition} could not be set up`, cause);
    }
  }
}
