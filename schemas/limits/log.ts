/** The log: one append, the keys of its content, and the anchors that prove it whole. */
export const logLimits = {
  /** Events of one decision. */
  events_per_commit_max: 256,
  /** Tries of one decision, the waits between, and how long each waits for the server. */
  append_attempts_max: 5,
  append_backoff_ms: [0, 5, 20, 50, 100],
  append_timeout_ms: 5_000,
  /** The server forgets `Nats-Msg-Id`s after this; it must exceed every retry of an append. */
  duplicate_window_ms: 120_000,
  /** Unwrapped keys that a process keeps. */
  content_keys_cached_max: 20_000,

  /** Changed chains that one pass of anchoring holds (some 300 bytes each); past it the pass ends early. */
  anchor_chains_max: 20_000,
  /** Tenants that are anchored at once. */
  anchor_tenants_at_once: 16,
  /** Anchors that a check holds (some 250 bytes each); of more it makes several passes. */
  anchors_checked_max: 200_000,
} as const;
