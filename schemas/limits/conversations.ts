/** A conversation and its turns: from the question that a model is given to the last frame of its answer. */
export const conversationLimits = {
  /** Token frames gather for this long after the first (docs/ARCHITECTURE.md, tokens). */
  flush_ms: 20,
  /** One token frame; a larger gathering is split, never inside a surrogate pair. */
  token_frame_chars_max: 16_384,
  /** First checkpoint of an answer, then the period, or sooner after this much text. */
  checkpoint_first_ms: 2_000,
  checkpoint_every_ms: 5_000,
  checkpoint_chars_max: 8_192,
  /** What TOKENS keeps, for who comes back in mid-answer. */
  tokens_age_ms: 60 * 60 * 1000,
  tokens_bytes_max: 256 * 1024 * 1024,

  /** From a turn's start to the first word of its answer, restarts included. */
  turn_first_token_ms: 60_000,
  /** Attempts of one turn, crashes included; past it the turn fails with its partial text. */
  turn_attempts_max: 3,
  /** Questions that wait behind a running answer. */
  turns_queued_per_conversation_max: 16,

  /** Path of messages given to a model: the newest that fit. */
  context_messages_max: 200,
  context_chars_max: 400_000,

  /** Branches are kept for ever, so a conversation's size is bounded by its commits. */
  commits_per_actor_max: 20_000,
  /** Users that one conversation is shared with: the list is in every actor and gateway that has it. */
  shares_per_conversation_max: 1_000,
  /** Ratings are commits of whoever may only read: a tenth of what a conversation may have. */
  ratings_per_conversation_max: 2_000,
  /** A conversation in which nothing happens for so long moves to the archive. */
  conversation_idle_ms: 30 * 24 * 60 * 60 * 1000,
} as const;
