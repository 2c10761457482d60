/** A gateway: its sockets and their buffers, streams over HTTP, what it remembers and counts. */
export const gatewayLimits = {
  /** A command without an answer by then is answered `command_unanswered`; it may still take effect. */
  command_answer_ms: 10_000,
  /** Unanswered commands of one gateway, of all and of one tenant (I10). */
  commands_in_flight_max: 20_000,
  commands_in_flight_per_tenant_max: 5_000,

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
  /** Text that is read of the log at once for readers behind the head, and what is kept of it for others. */
  replay_piece_chars: 2_000_000,
  replays_chars_max: 16_000_000,
  /** JSON of long frames that several such readers are sent. */
  shared_json_bytes_max: 16 * 1024 * 1024,
  /** What waits in one cursor for a gap to be filled; past it the cursor re-reads the log. */
  cursor_pending_max: 1_000,
  /** Frames that are no JSON or no command, within the window; so many close the socket. */
  malformed_frames_max: 20,
  malformed_frames_window_ms: 10_000,
  /** All frames of one socket in 10 s, refused ones too; more where more commands are allowed. */
  frames_per_socket_max: 2_000,
  frames_window_ms: 10_000,
  /** Frames of a socket whose credential is still being looked up. */
  frames_unready_max: 16,
  /** A socket that neither answers pings nor takes a byte is dead; a minute is only slow. */
  socket_idle_s: 120,

  /** A stream's head waits so long for the first words, so that a failure before them is a refusal. */
  stream_patience_ms: 5_000,
  /** A streamed answer is given to the server in pieces of about so much; one waits past a full socket. */
  stream_write_chars: 64 * 1024,
  /** A streamed answer says that it lives when it was silent for so long; proxies give up after 30 s and more. */
  stream_beat_ms: 15_000,
  /** How often that, and a client that does not read, is looked at: the server's own patience is 8 s and more. */
  stream_look_ms: 4_000,
  /** So long a front end's resume is told an answer whose stream was lost, though it has ended. */
  stream_cut_ms: 10 * 60 * 1000,
  streams_cut_max: 10_000,
  /** After which the reader of a stream over HTTP comes again when its gateway stops. */
  stream_retry_ms: 1_000,

  /** Request bodies in memory, of all requests of a gateway and of one IP address. */
  request_bodies_bytes_max: 256 * 1024 * 1024,
  request_bodies_per_ip_bytes_max: 64 * 1024 * 1024,
  /** Lines of the access log that nobody has taken yet, some 300 each; later ones are dropped and counted. */
  access_log_chars_max: 1_000_000,
  /** They are written together: so many characters, or after so long. */
  access_log_write_chars: 64 * 1024,
  access_log_write_ms: 50,
  /** How long the last ones are waited for at the end. */
  access_log_stop_ms: 300,
  /** Of a user agent so much is written down. */
  user_agent_chars_max: 200,
  /** `/ready` and `/metrics` answer strangers, so what they ask the servers is asked this seldom. */
  probe_kept_ms: 500,
  /** How soon a renewed certificate is noticed by itself. */
  certificate_look_ms: 60_000,
  /** Conversations of which a gateway remembers who may read them. */
  access_cached_max: 50_000,
  /** Shares in all access lists that a gateway remembers, some 100 bytes each. */
  shares_cached_max: 200_000,
  /** Idempotency keys and what they came with, some 300 bytes each, for a day. */
  requests_bytes_max: 256 * 1024 * 1024,
  /** How long a read waits until the read model has come to what its reader knows. */
  min_seq_wait_ms: 5_000,

  /** Conversations that a gateway folds from the log at once (`GET …/at`), of all and of one tenant. */
  histories_folded_max: 16,
  histories_folded_per_tenant_max: 4,
  /** Text that such a fold gathers before it forgets what its page will not show; that of one page of events. */
  history_chars_max: 4_000_000,

  /** Keys and window entries of the in-process limiter (some 100 and 8 bytes each). */
  limiter_keys_max: 100_000,
  limiter_times_max: 2_000_000,
  /** What a sliding window may count; higher limits are token buckets, one number each. */
  limiter_window_max: 6_000,
  /** A Redis that takes longer is not waited for. */
  limiter_answer_ms: 50,
  limiter_connect_ms: 1_000,
} as const;
