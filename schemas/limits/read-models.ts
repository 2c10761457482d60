/** Read models: the batches that feed them, rebuilds, and the database that they lie in. */
export const readModelLimits = {
  /** Projections: one transaction holds at most this many commits, gathered for at most this long. */
  batch_commits_max: 500,
  /** On PGlite everybody waits for a transaction, so one stays below 50 ms (500 took 61). */
  batch_commits_pglite_max: 250,
  /**
   * Who reads waits for it, so it is short; behind a batch of so many commits the rest is what counts.
   * P95 of the lag at 1,000 and 3,000 events/s: 72 and 245 ms with 20 ms always, 49 and 374 with 5.
   */
  batch_ms: 5,
  batch_busy_ms: 20,
  batch_busy_commits: 40,
  /** On PGlite while nobody waits for any of it: a batch is as much work for two commits as for ten. */
  batch_unread_ms: 25,
  /** Text of one batch, so that a batch of long answers stays small in memory. */
  batch_chars_max: 4_000_000,
  /** Back-off of a runner whose database or log is away: doubled up to the maximum. */
  runner_backoff_ms: 100,
  runner_backoff_ms_max: 5_000,
  /** Sequences that a read model has reached without a change before its checkpoint is moved. */
  checkpoint_behind_max: 2_000,
  /** Sequences between read models that one reader feeds; one that is farther behind has its own. */
  lanes_apart_max: 5_000,
  /** A rebuild writes when this many rows, or characters of text, wait; twice that is in memory. */
  rebuild_flush_rows: 40_000,
  rebuild_flush_chars: 24_000_000,
  /** Rows and characters that it keeps beside, so that an actor's next event finds its rows. */
  rebuild_rows_max: 120_000,
  rebuild_chars_max: 32_000_000,

  /** PGlite is one session for everybody, so one connection a process is all it gets. */
  database_connections_max: 10,
  /** Queries that wait for a connection; more are refused with `unavailable`. */
  database_waiting_max: 1_000,
  /** Statements that a server keeps for each connection; there are about a hundred, of up to 100 KB. */
  statements_kept_max: 128,
  /** Reads of one tenant that wait for their turn while others read, too. */
  reads_waiting_per_tenant_max: 500,
  /** One whose turn has not come by then is refused with `tenant_busy`: its reader gives up soon anyway. */
  reads_waiting_ms: 10_000,
  database_connect_ms: 5_000,
  statement_ms: 15_000,
  /** The embedded database takes its session back from a client that holds it idle this long. */
  session_held_ms: 5_000,
  /** How far read models may lag behind the log while `/ready` says yes. */
  projection_lag_ready_ms: 5_000,
} as const;
