/**
 * Which worker owns which partition, as an operator sees it: the pins that the server reports, by the
 * entries of the workers that hold them. This is a look, never a decision: nothing is owned by it.
 */
import { type ConsumerInfo, JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import { limits } from "../../schemas/limits.ts";
import type { PartitionView } from "../../schemas/ownership.ts";
import { assignment } from "./assignment.ts";
import type { Streams } from "../connection.ts";
import { consumerName, owner_group } from "./consumers.ts";
import { unavailable } from "../faults.ts";
import { storedPartitions } from "../provision.ts";
import { commands_stream } from "../topology.ts";
import { type Present, presentWorkers } from "./workers.ts";

export interface Ownership {
  readonly workers: readonly Present[];
  /** In order; empty before the streams are set up. */
  readonly partitions: readonly PartitionView[];
}

/** A worker names its pin at its next beat; one that is older and still nobody's is a stranger's. */
const naming_ms = 2 * limits.worker_beat_ms + limits.pull_expires_ms;
/** Between two pulls of one worker nobody pulls for a moment; so often is looked again. */
const looks = 4;
const look_ms = 100;

/** Looks at every partition, again at those that seem orphaned. Throws `AppError("unavailable")`. */
export async function readOwnership(streams: Streams): Promise<Ownership> {
  try {
    const count = await storedPartitions(streams);
    let workers = await presentWorkers(streams);
    const views = await Promise.all(
      Array.from({ length: count }, (_, partition) => viewOf(streams, partition, workers)),
    );
    for (let look = 1; look < looks && views.some(orphaned) && workers.length > 0; look++) {
      await new Promise((resolve) => setTimeout(resolve, look_ms));
      workers = await presentWorkers(streams);
      for (const { partition } of views.filter(orphaned)) {
        views[partition] = await viewOf(streams, partition, workers);
      }
    }
    return { workers, partitions: views };
  } catch (cause) {
    throw unavailable("The owners of the partitions cannot be read", cause);
  }
}

export const orphaned = ({ state }: PartitionView): boolean => state === "orphaned";

async function viewOf(
  streams: Streams,
  partition: number,
  workers: readonly Present[],
): Promise<PartitionView> {
  const info = await infoOf(streams, partition);
  const open = info === null ? 0 : info.num_pending + info.num_ack_pending;
  const view = (
    state: PartitionView["state"],
    worker: string | null,
    why: string | null = null,
  ): PartitionView => ({ partition, state, worker, why, open });
  if (info === null) return view("orphaned", null, "its consumer is missing");
  const { pin, age_ms } = pinOf(info);
  const owner = workers.find(({ pins }) => pin !== null && pins.get(partition) === pin);
  if (owner !== undefined) return view("owned", owner.id);
  if (workers.length === 0) return view("orphaned", null, "no worker is there");
  if (pin !== null) {
    return age_ms < naming_ms
      ? view("moving", null)
      : view("orphaned", null, "who holds it is no worker that is there");
  }
  if (info.num_waiting === 0) return view("orphaned", null, "no worker takes its commands");
  const members = workers.map(({ id }) => id);
  const first = members.find((id) => assignment(id, members, partition + 1).get(partition) === 0);
  return view("free", first ?? null);
}

async function infoOf(streams: Streams, partition: number): Promise<ConsumerInfo | null> {
  const asking = streams.jsm.consumers.info(commands_stream, consumerName(partition));
  try {
    return await streams.tracked(asking);
  } catch (error) {
    const missing =
      error instanceof JetStreamApiError && error.code === JetStreamApiCodes.ConsumerNotFound;
    if (missing) return null;
    throw error;
  }
}

/** What the server says of a priority group; the client's types do not know it yet (3.4.0). */
interface PriorityGroup {
  readonly group?: string;
  readonly pinned_client_id?: string;
  readonly pinned_ts?: string;
}

/** The pin and its age by the server's own clock. */
function pinOf(info: ConsumerInfo): { readonly pin: string | null; readonly age_ms: number } {
  const { priority_groups, ts } = info as ConsumerInfo & {
    // Reported since 2.11 (ADR-42) and absent from `ConsumerInfo`.
    readonly priority_groups?: readonly PriorityGroup[];
    readonly ts?: string;
  };
  const group = priority_groups?.find((one) => one.group === owner_group);
  const age_ms = Date.parse(ts ?? "") - Date.parse(group?.pinned_ts ?? "");
  return {
    pin: group?.pinned_client_id || null,
    age_ms: Number.isFinite(age_ms) ? age_ms : 0,
  };
}
