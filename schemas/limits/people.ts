/** Accounts, workspaces and what lets somebody in: passwords, tokens, keys, other issuers. */
export const peopleLimits = {
  /** As RFC 5321 §4.5.3.1.3 bounds an address. */
  email_chars_max: 254,
  name_chars_max: 200,
  device_chars_max: 200,
  /** An argon2id PHC string; ours have 97. */
  password_hash_chars_max: 256,
  /** A user's settings as JSON. */
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

  /** A socket is told so long before its token ends. */
  token_warning_ms: 30_000,
  /** An access token that a session gave out. What ended it is known by every gateway for that long. */
  access_token_ms: 15 * 60 * 1000,
  /** Rotated with every use; one that is not used for so long has ended. */
  refresh_token_ms: 30 * 24 * 60 * 60 * 1000,
  /** Until an invitation that nobody took is worth nothing. */
  invitation_ms: 7 * 24 * 60 * 60 * 1000,
  /** A token or key as it is sent: a JWT of some issuers carries many claims. */
  credential_chars_max: 8_192,
  /** Credentials that wait for an issuer or for the log; a further one is refused. */
  credentials_judged_max: 1_000,
  /** Of these, those of one IP address (I10). */
  credentials_judged_per_ip_max: 250,

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
} as const;
