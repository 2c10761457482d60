/**
 * The frames that the server sends, as schemas: `/asyncapi.json` is made of them, and tests hold what is
 * really sent against them. Their types are in frames.ts; a frame without a schema does not compile.
 */
import Type from "typebox";
import { Usage } from "./events/fields.ts";
import type { ServerFrame } from "./frames.ts";
import { IsoTime, Tenant, UserId, Uuid } from "./ids.ts";
import { Access } from "./sharing.ts";
import type { Schema } from "./validate.ts";

const Count = Type.Integer({ minimum: 0 });
const Number1 = Type.Integer({ minimum: 1 });
const wait = Type.Optional(
  Type.Integer({ minimum: 0, description: "Seconds to wait, with `rate_limited`." }),
);
const ErrorBody = Type.Object({ code: Type.String(), message: Type.String(), retryAfter: wait });
const named = (type: ServerFrame["type"], more: Readonly<Record<string, Schema>> = {}) =>
  Type.Object({ type: Type.Literal(type), ...more });

export const serverFrames = {
  ready: named("ready", {
    user: UserId,
    tenant: Tenant,
    limits: Type.Object({
      frame_bytes_max: Number1,
      text_chars_max: Number1,
      subscriptions_max: Number1,
    }),
  }),
  ack: named("ack", { id: Uuid, conversation: Uuid, revision: Number1, seq: Number1 }),
  nack: named("nack", { id: Uuid, error: ErrorBody }),
  event: named("event", {
    conversation: Uuid,
    revision: Number1,
    at: IsoTime,
    event: Type.Object({ type: Type.String(), redacted: Type.Optional(Type.Literal(true)) }),
  }),
  token: named("token", {
    conversation: Uuid,
    turn: Uuid,
    attempt: Number1,
    seq: Number1,
    from: Type.Optional(Number1),
    content: Type.String(),
  }),
  end: named("end", {
    conversation: Uuid,
    turn: Uuid,
    finish: Type.Enum(["stop", "length", "cancelled", "failed"]),
    usage: Usage,
  }),
  subscribed: named("subscribed", { id: Uuid, conversation: Uuid, revision: Count }),
  /** Asked for by `id`; else `error` says why. */
  unsubscribed: named("unsubscribed", {
    id: Type.Optional(Uuid),
    conversation: Uuid,
    error: Type.Optional(ErrorBody),
  }),
  watched: named("watched", { id: Uuid }),
  changed: named("changed", {
    conversation: Type.Object({
      id: Uuid,
      title: Type.Union([Type.String(), Type.Null()]),
      status: Type.Enum(["active", "archived", "deleted"]),
      revision: Number1,
      updatedAt: IsoTime,
      access: Access,
    }),
  }),
  removed: named("removed", { conversation: Uuid }),
  authenticated: named("authenticated", { expiresIn: Count }),
  error: named("error", { code: Type.String(), message: Type.String(), retryAfter: wait }),
  pong: named("pong"),
} as const satisfies Record<ServerFrame["type"], Schema>;
