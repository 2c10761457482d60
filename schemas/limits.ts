/**
 * Every limit, with its unit in its name and its reason beside it. The relations that must hold
 * between them are asserted at the end, so a wrong edit stops every process and every test at once.
 */
import { strict as assert } from "node:assert";

export const limits = {
  /** A client's WebSocket text frame (docs/PROTOCOL.md). */
  frame_bytes_max: 64 * 1024,
  /** An HTTP body other than an upload. */
  body_bytes_max: 256 * 1024,
  /** A chat request of a front end that sends its whole history each time; only its end is read. */
  chat_body_bytes_max: 4 * 1024 * 1024,
  /** What a front end calls a chat, a run or a message. */
  foreign_id_chars_max: 255,
  /** A user's message; in JSON at most 6 bytes a UTF-16 unit would exceed a frame, which refuses it first. */
  text_chars_max: 60_000,
  title_chars_max: 200,
  model_chars_max: 128,
  /** An answer that reaches it ends with `finish: "length"`. */
  answer_chars_max: 400_000,
  /** One NATS message; `max_payload` of nats.conf is the same. */
  message_bytes_max: 8 * 1024 * 1024,
  /** One command's payload on `cmd.…`; more is refused before it is parsed. */
  command_bytes_max: 512 * 1024,

  /** Token frames gather for this long after the first (docs/ARCHITECTURE.md, tokens). */
  flush_ms: 20,
  /** One token frame; a larger gathering is split, never inside a surrogate pair. */
  token_frame_chars_max: 16_384,
  /** First checkpoint of an answer, then the period, or sooner after this much text. */
  checkpoint_first_ms: 2_000,
  checkpoint_every_ms: 5_000,
  checkpoint_chars_max: 8_192,
  tokens_age_ms: 60 * 60 * 1000,
  tokens_bytes_max: 256 * 1024 * 1024,

  /** Model calls: headers, silence between two deltas, and what one whole answer may take. */
  model_connect_ms: 10_000,
  model_first_token_ms: 60_000,
  model_stall_ms: 60_000,
  /** Waits before the same provider is asked again; three retries, then the turn fails. */
  model_retry_ms: [1_000, 2_000, 4_000],
  /** A provider's Retry-After is honoured up to this. */
  model_retry_after_ms_max: 30_000,
  /** One event of a provider's stream: even a whole answer sent as one chunk stays below. */
  model_event_bytes_max: 4 * 1024 * 1024,
  /** One whole streamed response, with some 250 bytes of JSON around every token. */
  model_response_bytes_max: 64 * 1024 * 1024,
  /** Text of an answer that nobody has taken yet; past it the provider's socket is not read. */
  model_pending_chars_max: 64 * 1024,
  /** What is read of a refusal's body, and of a provider's model list. */
  model_error_bytes_max: 16 * 1024,
  model_list_bytes_max: 4 * 1024 * 1024,
  models_listed_max: 1_000,
  /** From a turn's start to the first word of its answer, restarts included. */
  turn_first_token_ms: 60_000,
  /** A conversation in which nothing happens for so long moves to the archive. */
  conversation_idle_ms: 30 * 24 * 60 * 60 * 1000,
  /** Timers that are on their way to the server. */
  timers_pending_max: 10_000,
  /** Attempts of one turn, crashes included; past it the turn fails with its partial text. */
  turn_attempts_max: 3,

  /** Path of messages given to a model: the newest that fit. */
  context_messages_max: 200,
  context_chars_max: 400_000,
  /** Messages that one request of the OpenAI wire format brings: as many as a model is given. */
  request_messages_max: 200,
  /** The body of such a request: it becomes one command. */
  request_bytes_max: 480 * 1024,
  /** A stream's head waits so long for the first words, so that a failure before them is a refusal. */
  stream_patience_ms: 5_000,
  /** Branches are kept for ever, so a conversation's size is bounded by its commits. */
  commits_per_actor_max: 20_000,
  turns_queued_per_conversation_max: 16,
  /** Users that one conversation is shared with: the list is in every actor and gateway that has it. */
  shares_per_conversation_max: 1_000,
  comment_chars_max: 2_000,
  /** Ratings are commits of whoever may only read: a tenth of what a conversation may have. */
  ratings_per_conversation_max: 2_000,

  /** Events of one decision. */
  events_per_commit_max: 256,

  /** Accounts. An address as RFC 5321 §4.5.3.1.3 bounds it; names and a device's name for people. */
  email_chars_max: 254,
  name_chars_max: 200,
  device_chars_max: 200,
  /** An argon2id PHC string; ours have 97. */
  password_hash_chars_max: 256,
  settings_bytes_max: 16 * 1024,
  /** Commands that an account knows by their ids; it is signed in to for ever. */
  account_commands_max: 1_000,
  tenants_per_account_max: 100,
  /** One more closes the oldest. */
  sessions_per_account_max: 50,
  /** A refresh that is asked again within it, for the same next token, is answered again. */
  refresh_grace_ms: 10_000,

  /** A workspace is anchored for ever, so it knows only the newest commands by their ids. */
  workspace_commands_max: 1_000,
  members_per_workspace_max: 10_000,
  invitations_per_workspace_max: 1_000,
  keys_per_workspace_max: 1_000,
  keys_per_user_max: 50,
  /** Invitations that are too old, taken away with a new one when there is no more room. */
  invitations_cleared_max: 32,

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
  append_attempts_max: 5,
  append_backoff_ms: [0, 5, 20, 50, 100],
  append_timeout_ms: 5_000,
  /** Commands waiting in one actor; more are given back to the queue. */
  mailbox_max: 256,
  actors_awake_max: 50_000,
  /** An idle actor leaves memory after this. */
  actor_idle_ms: 60_000,
  /** A snapshot is taken after so many events; reading them takes less than 5 ms. */
  snapshot_events: 200,
  /** At rest after fewer: what is shorter is as quick to read from the log. */
  snapshot_tail_events: 16,
  /** In KV up to this; a larger one is a blob (one NATS message has 8 MB at most). */
  snapshot_kv_bytes_max: 512 * 1024,
  /** Snapshots on their way to the server; past it they are dropped, since they only save time. */
  snapshots_pending_bytes_max: 32 * 1024 * 1024,
  snapshot_load_ms: 1_000,
  drain_ms: 8_000,
  /** The server forgets `Nats-Msg-Id`s after this; it must exceed every retry of an append. */
  duplicate_window_ms: 120_000,
  content_keys_cached_max: 20_000,
  texts_cached_bytes_max: 64 * 1024 * 1024,

  /** Gateway. */
  command_answer_ms: 10_000,
  subscriptions_per_socket_max: 200,
  /** Unanswered commands of one socket. */
  commands_per_socket_max: 256,
  /** Socket buffer: past the watermark the socket is a lagging cursor; past the maximum it is closed. */
  socket_watermark_bytes: 256 * 1024,
  socket_buffer_bytes_max: 4 * 1024 * 1024,
  /** All socket buffers of a gateway; the fuller they are, the lower the watermark of each. */
  socket_buffers_bytes_max: 256 * 1024 * 1024,
  /** Changed conversations that wait for a watcher's socket; past it the oldest is told at its next change. */
  changes_unread_max: 1_000,
  /** Answers to one socket that it has not read; the second while all buffers together are full. */
  answers_unread_bytes: 2 * 1024 * 1024,
  answers_unread_bytes_tight: 64 * 1024,
  /** What waits in one cursor for a gap to be filled; past it the cursor re-reads the log. */
  cursor_pending_max: 1_000,
  /** A streamed answer is given to the server in pieces of about so much; one waits past a full socket. */
  stream_write_chars: 64 * 1024,
  /** A streamed answer says that it lives when it was silent for so long; proxies give up after 30 s and more. */
  stream_beat_ms: 15_000,
  /** How often that, and a client that does not read, is looked at: the server's own patience is 8 s and more. */
  stream_look_ms: 4_000,
  /** So long a front end's resume is told an answer whose stream was lost, though it has ended. */
  stream_cut_ms: 10 * 60 * 1000,
  streams_cut_max: 10_000,
  malformed_frames_max: 20,
  malformed_frames_window_ms: 10_000,
  /** All frames of one socket in 10 s, refused ones too; more where more commands are allowed. */
  frames_per_socket_max: 2_000,
  frames_window_ms: 10_000,
  /** A socket that neither answers pings nor takes a byte is dead; a minute is only slow. */
  socket_idle_s: 120,
  token_warning_ms: 30_000,
  access_cached_max: 50_000,
  /** A token or key as it is sent: a JWT of some issuers carries many claims. */
  credential_chars_max: 8_192,
  /** Credentials that wait for an issuer or for the log; a further one is refused. */
  credentials_judged_max: 1_000,
  /** An access token that a session gave out. What ended it is known by every gateway for that long. */
  access_token_ms: 15 * 60 * 1000,
  /** Rotated with every use; one that is not used for so long has ended. */
  refresh_token_ms: 30 * 24 * 60 * 60 * 1000,
  invitation_ms: 7 * 24 * 60 * 60 * 1000,
  password_chars_min: 8,
  /** Refused before it is hashed. */
  password_chars_max: 256,
  /** Each holds one of libuv's four threads and 19 MiB. */
  password_hashes_at_once: 2,
  /** Some two seconds of waiting. */
  password_hashes_waiting_max: 100,
  /** Accounts and workspaces that a gateway keeps folded: some 1 KB, and 100 bytes a member or key. */
  accounts_known_max: 10_000,
  workspaces_known_max: 1_000,
  /** API keys that a gateway knows to be good, and how long it takes their word. */
  api_keys_known_max: 10_000,
  api_key_known_ms: 60_000,
  /** Another issuer's key set: its answer, how often it is asked, how long its keys are kept. */
  issuer_answer_ms: 5_000,
  issuer_ask_again_ms: 30_000,
  issuer_keys_kept_ms: 10 * 60 * 1000,
  /** How far the clocks of processes may be apart. */
  clock_skew_ms: 60_000,
  /** Ended sessions, changed members and revoked keys that a gateway knows. */
  revocations_known_max: 200_000,
  /** Until a gateway that starts knows them. */
  revocations_wait_ms: 10_000,
  /** Frames of a socket whose credential is still being looked up. */
  frames_unready_max: 16,
  /** After which the reader of a stream over HTTP comes again when its gateway stops. */
  stream_retry_ms: 1_000,
  /** How soon a renewed certificate is noticed by itself. */
  certificate_look_ms: 60_000,
  /** Idempotency keys and what they came with, some 300 bytes each, for a day. */
  requests_bytes_max: 256 * 1024 * 1024,
  /** An Idempotency-Key. */
  idempotency_key_chars_max: 255,
  /** Shares in all access lists that a gateway remembers, some 100 bytes each. */
  shares_cached_max: 200_000,
  page_default: 50,
  page_max: 200,
  min_seq_wait_ms: 5_000,
  /** Unanswered commands of one gateway, of all and of one tenant (I10). */
  commands_in_flight_max: 20_000,
  commands_in_flight_per_tenant_max: 5_000,

  /** Keys and window entries of the in-process limiter (some 100 and 8 bytes each). */
  limiter_keys_max: 100_000,
  limiter_times_max: 2_000_000,
  /** What a sliding window may count; higher limits are token buckets, one number each. */
  limiter_window_max: 6_000,
  /** A Redis that takes longer is not waited for. */
  limiter_answer_ms: 50,
  limiter_connect_ms: 1_000,

  /** Conversations that a gateway folds from the log at once (`GET …/at`), of all and of one tenant. */
  histories_folded_max: 16,
  histories_folded_per_tenant_max: 4,
  /** Text that such a fold gathers before it forgets what its page will not show; that of one page of events. */
  history_chars_max: 4_000_000,

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

  /** Database. PGlite is one session for everybody, so one connection a process is all it gets. */
  database_connections_max: 10,
  /** Queries that wait for a connection; more are refused with `unavailable`. */
  database_waiting_max: 1_000,
  /** Reads of one tenant that wait for their turn while others read, too. */
  reads_waiting_per_tenant_max: 500,
  database_connect_ms: 5_000,
  statement_ms: 15_000,
  /** The embedded database takes its session back from a client that holds it idle this long. */
  session_held_ms: 5_000,
  projection_lag_ready_ms: 5_000,

  /** The feed: events of one batch, and their JSON; a single event fits a message always. */
  feed_batch_events: 256,
  feed_batch_chars: 2_000_000,
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

  /** Anchors. Changed chains that one pass holds (some 300 bytes each); past it the pass ends early. */
  anchor_chains_max: 20_000,
  /** Tenants that are anchored at once. */
  anchor_tenants_at_once: 16,
  /** Anchors that a check holds (some 250 bytes each); of more it makes several passes. */
  anchors_checked_max: 200_000,
} as const;

const l = limits;
assert(
  l.ack_pending_max > l.turns_running_per_partition_max + l.turns_queued_per_partition_max,
  "a cancel must always get through beside the turns that are held open",
);
assert(l.working_ms * 2 < l.ack_wait_ms, "a held command is renewed twice before it expires");
assert(l.pull_expires_ms < l.pin_ms, "a pinned consumer pulls before it loses its pin");
assert(l.worker_beat_ms * 2 < l.worker_ttl_ms, "one lost heartbeat is not a death");
assert(
  l.duplicate_window_ms > l.append_attempts_max * l.append_timeout_ms,
  "the duplicate window exceeds the longest retry of an append",
);
assert(l.frame_bytes_max < l.command_bytes_max, "a client's frame fits a command");
assert(
  l.answer_chars_max * 12 < l.message_bytes_max,
  "an ending event (text, frame lengths and times, sealed in base64) fits a NATS message",
);
assert(
  l.ratings_per_conversation_max * 2 < l.commits_per_actor_max,
  "readers who rate cannot fill a conversation",
);
assert(l.request_bytes_max < l.command_bytes_max, "a request of a program fits a command");
assert(
  l.request_messages_max + 2 < l.events_per_commit_max,
  "a request's messages, its conversation and its turn are one commit",
);
assert(
  l.sessions_per_account_max < l.events_per_commit_max,
  "a new password closes every session in its own commit",
);
assert(
  l.keys_per_user_max < l.events_per_commit_max,
  "a member's keys are revoked in the commit that removes the member",
);
assert(
  l.invitations_cleared_max < l.events_per_commit_max,
  "old invitations go in the commit of a new one",
);
assert(
  l.stream_look_ms * 2 <= 8_000,
  "a streamed answer that waits is sent twice before it is cut",
);
assert(
  l.commands_in_flight_per_tenant_max * 2 < l.commands_in_flight_max,
  "a tenant that sends as much as it may leaves room for others",
);
assert(
  l.socket_watermark_bytes + l.answers_unread_bytes < l.socket_buffer_bytes_max,
  "who asks without reading is told why before his buffer is full",
);
assert(l.drain_ms < 10_000, "all that we started is gone 10 s after SIGTERM");
assert(l.token_frame_chars_max * 6 < l.message_bytes_max, "a token frame fits a NATS message");
