/** What others are told: the feed and webhooks. */
export const integrationLimits = {
  /** The feed: events of one batch, and their JSON; a single event fits a message always. */
  feed_batch_events: 256,
  feed_batch_chars: 2_000_000,
  /** So long it waits for more: a short turn is one append then, and none while its first token is due. */
  feed_gather_ms: 30,
  /** Commits without a public event, behind which the place in the log is written down all the same. */
  feed_unmarked_commits: 1_000,
  /** Conversations whose owner the publisher remembers. */
  feed_owners_cached_max: 20_000,

  /** Webhooks of a workspace, and one's address. */
  webhooks_per_workspace_max: 20,
  webhook_url_chars_max: 2_048,
  /** One POST, from the look-up of its host to the end of what is read of its answer. */
  webhook_timeout_ms: 15_000,
  webhook_answer_bytes_max: 4_096,
  /** POSTs on their way at once: of one tenant, and of all. */
  webhook_posts_per_tenant_max: 4,
  webhook_posts_max: 64,
  /** Until an event is posted again; after the last it is a dead letter, some 16 hours in all. */
  webhook_retry_ms: [
    5_000, 30_000, 120_000, 600_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 28_800_000,
  ],
  /** Events of one webhook that wait to be posted again; past it no further one is begun. */
  webhook_unacked_max: 256,
  /** A webhook that fails for so long without a success between is switched off. */
  webhook_failing_ms: 3 * 24 * 60 * 60 * 1000,
  /** The newest deliveries that are remembered of each webhook. */
  webhook_deliveries_kept: 50,
  /** An event is given to another when whoever posts it is not heard of for so long. */
  webhook_ack_ms: 30_000,
} as const;
