/**
 * The one table of errors: code → what it says, its HTTP status, its WebSocket close code when it
 * closes a socket, whether the same request may succeed later, and who must act.
 * `docs/ERRORS.md` is compared with it in both directions.
 */

interface ErrorRow {
  readonly message: string;
  readonly status: number;
  readonly close: number | null;
  readonly retryable: boolean;
  readonly who: "client" | "user" | "operator" | "provider" | "nobody";
}

const row = (
  status: number,
  who: ErrorRow["who"],
  message: string,
  more: { retryable?: boolean; close?: number } = {},
): ErrorRow => ({
  message,
  status,
  who,
  retryable: more.retryable ?? false,
  close: more.close ?? null,
});

export const errors = {
  bad_json: row(400, "client", "The body or frame is not valid JSON."),
  bad_request: row(400, "client", "The request does not have the expected shape."),
  content_disallowed: row(400, "user", "Input contains disallowed content."),
  unsupported_parameter: row(400, "client", "A parameter asks for what is not possible here."),
  unknown_type: row(400, "client", "The frame's type is not known."),
  unknown_command: row(400, "client", "The command's name is not known."),
  bad_cursor: row(400, "client", "The cursor is not one that this list gave out."),
  unauthenticated: row(401, "client", "A valid access token is needed.", { close: 4401 }),
  token_expired: row(401, "client", "The access token has expired.", {
    close: 4401,
    retryable: true,
  }),
  bad_credentials: row(401, "user", "The e-mail address or the password is wrong."),
  refresh_reused: row(401, "user", "This refresh token was used before; sign in again."),
  forbidden: row(403, "user", "The role of this user does not allow it."),
  registration_closed: row(403, "operator", "Nobody can register here; ask for an invitation."),
  origin_refused: row(403, "client", "Pages of this origin may not connect here."),
  unshared: row(403, "user", "The conversation is not shared with this user any more."),
  bad_reply_subject: row(403, "client", "Replies go only to reply.<tenant>.…"),
  not_found: row(404, "client", "There is nothing here by this name."),
  invitation_invalid: row(404, "user", "The invitation is unknown, used, revoked or too old."),
  model_not_found: row(404, "client", "No model of this name is configured."),
  message_not_found: row(404, "client", "The conversation has no such message."),
  unknown_version: row(404, "client", "There is no such version of the API; it is /api/v1."),
  revision_not_found: row(404, "client", "The conversation has not come to this revision."),
  method_not_allowed: row(405, "client", "This method is not possible here."),
  not_acceptable: row(406, "client", "No representation of the wished kind exists."),
  email_taken: row(409, "user", "There is an account with this e-mail address."),
  account_in_use: row(409, "user", "The account still belongs to a tenant; leave it first."),
  too_many_tenants: row(409, "user", "The account belongs to as many tenants as it may."),
  workspace_taken: row(409, "user", "The workspace has been opened by somebody else."),
  workspace_full: row(409, "user", "The workspace has as many members as it may have."),
  already_member: row(409, "user", "This user is a member already."),
  last_owner: row(409, "user", "A workspace keeps an owner; make another one first."),
  too_many_invitations: row(409, "user", "Too many invitations are open; revoke some."),
  too_many_webhooks: row(409, "user", "The workspace has as many webhooks as it may."),
  too_many_keys: row(409, "user", "There are as many API keys as there may be; revoke some."),
  too_many_shares: row(409, "user", "The conversation is shared with as many users as it may be."),
  turn_running: row(409, "user", "An answer is being written, and the policy is to reject.", {
    retryable: true,
  }),
  conversation_archived: row(409, "user", "The conversation is archived; restore it first."),
  conversation_deleted: row(410, "user", "The conversation has been deleted."),
  conversation_full: row(409, "user", "The conversation has reached its limit; begin a new one."),
  id_taken: row(409, "client", "The id already names something else in this conversation."),
  anchor_behind: row(409, "nobody", "Another anchor covers this part of the log."),
  precondition_failed: row(412, "client", "It has changed since it was read; read it again."),
  too_large: row(413, "client", "The request is larger than allowed.", { close: 1009 }),
  text_too_long: row(413, "user", "The text is longer than allowed."),
  unsupported_media_type: row(415, "client", "The body must be application/json."),
  upgrade_required: row(426, "client", "This address is a WebSocket: ask for an upgrade to one."),
  idempotency_mismatch: row(422, "client", "This Idempotency-Key came with another request."),
  rate_limited: row(429, "client", "Too many requests; wait as Retry-After says.", {
    retryable: true,
  }),
  too_many_connections: row(429, "client", "Too many sockets of this user or address.", {
    retryable: true,
    close: 1013,
  }),
  too_many_subscriptions: row(429, "client", "The socket follows too many conversations."),
  too_many_malformed: row(400, "client", "Too many malformed frames.", { close: 1008 }),
  flooding: row(429, "client", "Far more frames than anybody may send.", { close: 1008 }),
  binary_frame: row(400, "client", "Frames are text, one JSON object each.", { close: 1003 }),
  invalid_utf8: row(400, "client", "The frame is not valid UTF-8.", { close: 1007 }),
  queue_full: row(429, "user", "Too many messages already wait in this conversation.", {
    retryable: true,
  }),
  tenant_busy: row(429, "user", "Too many answers are being written for this tenant; try again.", {
    retryable: true,
  }),
  internal: row(500, "operator", "Something went wrong here; the trace id names it."),
  not_configured: row(501, "operator", "What this needs is not configured here."),
  overloaded: row(503, "operator", "Too many turns are running; try again.", { retryable: true }),
  unavailable: row(503, "operator", "A part of the service is not reachable; try again.", {
    retryable: true,
  }),
  shutting_down: row(503, "nobody", "This gateway is stopping; connect again.", {
    retryable: true,
    close: 1012,
  }),
  slow_consumer: row(503, "client", "The socket did not read for too long; connect again.", {
    retryable: true,
    close: 1013,
  }),
  command_unanswered: row(504, "nobody", "No answer yet; send the same id again.", {
    retryable: true,
  }),
  command_dead: row(
    500,
    "operator",
    "The command could not be handled and is in the dead letters.",
  ),
  webhook_failed: row(
    502,
    "client",
    "The webhook did not take the event however often it was posted.",
  ),
  content_erased: row(410, "nobody", "The content has been erased."),
  stale: row(504, "operator", "The read model has not reached the wished sequence.", {
    retryable: true,
  }),

  model_unavailable: row(502, "provider", "The model's provider is not reachable.", {
    retryable: true,
  }),
  model_rate_limited: row(429, "provider", "The model's provider limits our requests.", {
    retryable: true,
  }),
  model_refused: row(502, "operator", "The model's provider refused the request."),
  model_timeout: row(504, "provider", "The model did not answer in time.", { retryable: true }),
  model_stream_cut: row(502, "provider", "The model's answer broke off.", { retryable: true }),
  model_bad_answer: row(502, "provider", "The model's answer could not be read."),
  turn_restarted: row(
    503,
    "nobody",
    "The answer began anew, so what was sent of it is void; ask again.",
    { retryable: true },
  ),
  turn_attempts_exhausted: row(500, "operator", "The turn was interrupted too often."),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errors;

/** An error as a client reads it. */
export interface ErrorBody {
  readonly code: ErrorCode;
  readonly message: string;
  /** Seconds to wait, when that is known. */
  readonly retryAfter?: number;
}

/** The body of an error; `detail` replaces the table's sentence and must be fit for its sender. */
export const errorBody = (code: ErrorCode, detail?: string): ErrorBody => ({
  code,
  message: detail ?? errors[code].message,
});

/** An expected failure on its way to its sender. Programmer errors are asserts, not this. */
export class AppError extends Error {
  readonly code: ErrorCode;
  /** Whole seconds after which it may succeed; null when that is not known. */
  readonly retry_s: number | null;

  constructor(
    code: ErrorCode,
    detail?: string,
    { retry_s, ...options }: ErrorOptions & { readonly retry_s?: number } = {},
  ) {
    super(detail ?? errors[code].message, options);
    this.name = "AppError";
    this.code = code;
    this.retry_s = retry_s ?? null;
  }

  body(): ErrorBody {
    const { code, message, retry_s } = this;
    return retry_s === null ? { code, message } : { code, message, retryAfter: retry_s };
  }
}
