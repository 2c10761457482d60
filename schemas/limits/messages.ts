/** What people, programs and processes send to one another at once: frames, bodies, texts, ids. */
export const messageLimits = {
  /** A client's WebSocket text frame (docs/PROTOCOL.md). */
  frame_bytes_max: 64 * 1024,
  /** What the server gathers of a frame that has not come whole; past it the socket is cut off. */
  frame_gathered_bytes_max: 128 * 1024,
  /** Levels of JSON that a client sends, in a frame or a body. */
  json_levels_max: 64,
  /** An HTTP body other than an upload. */
  body_bytes_max: 256 * 1024,
  /** A chat request of a front end that sends its whole history each time; only its end is read. */
  chat_body_bytes_max: 4 * 1024 * 1024,
  /** Messages that one request of the OpenAI wire format brings: as many as a model is given. */
  request_messages_max: 200,
  /** The body of such a request: it becomes one command. */
  request_bytes_max: 480 * 1024,
  /** What a front end calls a chat, a run or a message. */
  foreign_id_chars_max: 255,
  /** An Idempotency-Key. */
  idempotency_key_chars_max: 255,

  /** A user's message; in JSON at most 6 bytes a UTF-16 unit would exceed a frame, which refuses it first. */
  text_chars_max: 60_000,
  title_chars_max: 200,
  model_chars_max: 128,
  /** An answer that reaches it ends with `finish: "length"`. */
  answer_chars_max: 400_000,
  /** What a reader says of an answer that he rates. */
  comment_chars_max: 2_000,

  /** One NATS message; `max_payload` of nats.conf is the same. */
  message_bytes_max: 8 * 1024 * 1024,
  /** One command's payload on `cmd.…`; more is refused before it is parsed. */
  command_bytes_max: 512 * 1024,

  /** Items of one page, unless it is asked for more. */
  page_default: 50,
  page_max: 200,
  /** Text of a page of messages, which ends early: so much, and at most one message more. */
  page_bytes_max: 2 * 1024 * 1024,
} as const;
