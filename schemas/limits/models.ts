/** Calls of a model provider: how long each part may take, and how much is read of it. */
export const modelLimits = {
  /** To the connection, to the first word, and between two. */
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
  /** Embeddings: a request's inputs, its body, the provider's answer (1,900 vectors of 1,536), its patience. */
  embedding_inputs_max: 2_048,
  embedding_tokens_max: 8_192,
  embeddings_bytes_max: 1024 * 1024,
  embeddings_answer_bytes_max: 16 * 1024 * 1024,
  embeddings_ms: 30_000,
  /** Asked for at once by one gateway, of all and of one tenant. */
  embeddings_running_max: 8,
  embeddings_running_per_tenant_max: 4,
} as const;
