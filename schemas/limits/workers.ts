/** Workers: the command queue, the actors that are awake, their snapshots and timers. */
export const workerLimits = {
  /** Partitions of COMMANDS. */
  partitions_embedded: 8,
  partitions: 64,
  /** Running and queued turns of one partition: what a worker may hold open there. */
  turns_running_per_partition_max: 2_000,
  turns_queued_per_partition_max: 2_000,
  /** Turns of one tenant that a worker runs at once; a further one is refused (I10). */
  turns_running_per_tenant_max: 2_000,

  /** Unacknowledged commands of one partition's consumer. */
  ack_pending_max: 10_000,
  /** An unacknowledged command is delivered again after this; held ones are renewed well before. */
  ack_wait_ms: 1_500,
  working_ms: 500,
  /** A pinned consumer that does not pull for this long loses its pin. */
  pin_ms: 2_000,
  pull_expires_ms: 1_000,

  /** A worker's entry in WORKERS. */
  worker_ttl_ms: 3_000,
  worker_beat_ms: 1_000,
  /** What a worker has to answer another. */
  worker_ask_ms: 500,
  /** Questions of one worker that wait for an answer; a further one is asked later. */
  worker_asks_max: 1_000,

  /** Deliveries of a command that never made it into the log, before it is dead. */
  deliveries_max: 4,
  /** Back-off of a redelivery, by delivery. */
  redelivery_ms: [100, 500, 2_000],

  /** Commands waiting in one actor; more are given back to the queue. */
  mailbox_max: 256,
  actors_awake_max: 50_000,
  /** An idle actor leaves memory after this. */
  actor_idle_ms: 60_000,
  /** Timers that are on their way to the server. */
  timers_pending_max: 10_000,

  /** A snapshot is taken after so many events; reading them takes less than 5 ms. */
  snapshot_events: 200,
  /** At rest after fewer: what is shorter is as quick to read from the log. */
  snapshot_tail_events: 16,
  /** In KV up to this; a larger one is a blob (one NATS message has 8 MB at most). */
  snapshot_kv_bytes_max: 512 * 1024,
  /** Snapshots on their way to the server; past it they are dropped, since they only save time. */
  snapshots_pending_bytes_max: 32 * 1024 * 1024,
  /** A snapshot that takes longer is not waited for: the log has all of it. */
  snapshot_load_ms: 1_000,
  texts_cached_bytes_max: 64 * 1024 * 1024,

  /** For what is under way when a process is told to end. */
  drain_ms: 8_000,
} as const;
