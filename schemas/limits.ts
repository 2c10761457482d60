/**
 * Every limit, with its unit in its name and its reason beside it, gathered from the parts in
 * schemas/limits/. The relations that must hold between them are asserted here, so a wrong edit stops
 * every process and every test at once.
 */
import { strict as assert } from "node:assert";
import { conversationLimits } from "./limits/conversations.ts";
import { gatewayLimits } from "./limits/gateway.ts";
import { integrationLimits } from "./limits/integrations.ts";
import { logLimits } from "./limits/log.ts";
import { messageLimits } from "./limits/messages.ts";
import { modelLimits } from "./limits/models.ts";
import { peopleLimits } from "./limits/people.ts";
import { readModelLimits } from "./limits/read-models.ts";
import { workerLimits } from "./limits/workers.ts";

export const limits = {
  ...messageLimits,
  ...conversationLimits,
  ...modelLimits,
  ...peopleLimits,
  ...workerLimits,
  ...logLimits,
  ...gatewayLimits,
  ...readModelLimits,
  ...integrationLimits,
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
  l.frame_bytes_max < l.frame_gathered_bytes_max,
  "whoever sends a frame that is a little too long is told so",
);
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
  l.keys_per_user_max + l.webhooks_per_workspace_max < l.events_per_commit_max,
  "a member's keys are revoked in the commit that removes the member, and with the last one the webhooks end",
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
  l.chat_body_bytes_max * 8 < l.request_bodies_per_ip_bytes_max &&
    l.request_bodies_per_ip_bytes_max * 2 < l.request_bodies_bytes_max,
  "several of an address send the largest bodies at once, and leave room for others",
);
assert(
  l.credentials_judged_per_ip_max * 2 < l.credentials_judged_max,
  "whoever invents credentials leaves room for others",
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
