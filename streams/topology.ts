/**
 * The streams and buckets of an installation, as a table; `provision.ts` makes the server match it.
 * Every name of a stream is written down in this file and nowhere else.
 */
import type { StreamConfig } from "@nats-io/jetstream";
import { nanos } from "@nats-io/transport-node";
import { limits } from "../schemas/limits.ts";
import { commandTransform, eventRepublish, feedSubjects } from "../schemas/subjects.ts";

export const commands_stream = "COMMANDS";
export const events_stream = "EVENTS";
export const tokens_stream = "TOKENS";
export const feed_stream = "FEED";
export const dead_stream = "DEAD";
export const keys_bucket = "KEYS";
export const workers_bucket = "WORKERS";
export const leases_bucket = "LEASES";
export const snapshots_bucket = "SNAPSHOTS";
export const requests_bucket = "REQUESTS";
export const webhooks_bucket = "WEBHOOKS";
export const blobs_bucket = "BLOBS";

export type Declared = Partial<StreamConfig> & Pick<StreamConfig, "name" | "storage">;

const day_ms = 24 * 60 * 60 * 1000;
/** How long an integration may be away without missing anything. */
export const feed_age_ms = 7 * day_ms;
/** Headers of a command beside its payload: signature, reply subject, trace. */
const command_headers_bytes_max = 16 * 1024;
/** The shortest window the server takes: a repeat of a command must reach its actor (I1, I2). */
const no_window_ms = 100;

/** A KV bucket is a stream by the conventions of the KV clients (ADR-8). */
const bucket = (name: string, more: Partial<StreamConfig>): Declared => ({
  name: `KV_${name}`,
  subjects: [`$KV.${name}.>`],
  storage: "file",
  max_msgs_per_subject: 1,
  discard: "new",
  allow_rollup_hdrs: true,
  deny_delete: true,
  allow_direct: true,
  ...more,
});

/** Every stream of an installation. */
export function topology(partitions: number, replicas: 1 | 3): readonly Declared[] {
  const streams: Declared[] = [
    {
      name: commands_stream,
      subjects: ["cmd.*.*.*.*", "timer.*.*.*.*.*"],
      subject_transform: commandTransform(partitions),
      storage: "file",
      retention: "workqueue",
      // A full one refuses, whoever limits it: the default would drop what was acknowledged (I1).
      discard: "new",
      allow_msg_schedules: true,
      duplicate_window: nanos(no_window_ms),
      max_msg_size: limits.command_bytes_max + command_headers_bytes_max,
    },
    {
      name: events_stream,
      subjects: ["evt.*.*.*"],
      storage: "file",
      compression: "s2",
      discard: "new",
      allow_direct: true,
      deny_delete: true,
      deny_purge: true,
      republish: eventRepublish,
      duplicate_window: nanos(limits.duplicate_window_ms),
    },
    {
      name: tokens_stream,
      subjects: ["tok.*.*"],
      storage: "memory",
      no_ack: true,
      max_age: nanos(limits.tokens_age_ms),
      max_bytes: limits.tokens_bytes_max,
      discard: "old",
      allow_direct: true,
    },
    {
      name: feed_stream,
      subjects: [...feedSubjects],
      storage: "file",
      max_age: nanos(feed_age_ms),
      // Ids are there for what follows a message to expect it, and for nothing else.
      duplicate_window: nanos(no_window_ms),
      // A publisher that begins anew waits, it never skips.
      discard: "new",
      allow_direct: true,
      // The publisher's marks replace each other and never grow old (`feed/feed.ts`).
      allow_rollup_hdrs: true,
      allow_msg_ttl: true,
      // Derived from EVENTS, so it may be written behind; only a single replica can.
      ...(replicas === 1 ? { persist_mode: "async" } : {}),
    },
    {
      name: dead_stream,
      subjects: ["dead.*.*.*.*"],
      storage: "file",
      max_age: nanos(90 * day_ms),
      allow_direct: true,
    },
    // Without a tombstone: what is disposable may be deleted.
    bucket(snapshots_bucket, { compression: "s2", deny_delete: false }),
    {
      // An object store, by the conventions of its clients (ADR-20).
      name: `OBJ_${blobs_bucket}`,
      subjects: [`$O.${blobs_bucket}.C.>`, `$O.${blobs_bucket}.M.>`],
      storage: "file",
      discard: "new",
      allow_rollup_hdrs: true,
      allow_direct: true,
    },
    bucket(workers_bucket, { storage: "memory", max_age: nanos(limits.worker_ttl_ms) }),
    bucket(leases_bucket, { storage: "memory", max_age: nanos(limits.worker_ttl_ms) }),
    // A key that is erased is overwritten where it lies, which is a delete.
    bucket(keys_bucket, { deny_delete: false }),
    // Of a webhook that is gone nothing is written any more.
    bucket(webhooks_bucket, { deny_delete: false, max_age: nanos(30 * day_ms) }),
    bucket("CONFIG", {}),
    // Forgets the oldest when it is full: then a key is only no longer compared.
    bucket(requests_bucket, {
      max_age: nanos(day_ms),
      max_bytes: limits.requests_bytes_max,
      discard: "old",
    }),
  ];
  return streams.map((stream) => ({ ...stream, num_replicas: replicas }));
}
