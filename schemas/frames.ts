/**
 * The frames of `GET /ws/chat` (docs/PROTOCOL.md): text frames, one JSON object each. What a client
 * sends is checked here; what we send is described here and built by the gateway.
 */
import Type, { type Static } from "typebox";
import { publicCommands } from "./commands/conversation.ts";
import type { ErrorBody } from "./errors.ts";
import type { Usage } from "./events/fields.ts";
import type { EventType } from "./events.ts";
import { Uuid } from "./ids.ts";
import { limits } from "./limits.ts";
import type { Access } from "./sharing.ts";
import { check } from "./validate.ts";

const closed = { additionalProperties: false } as const;
const addressed = { id: Uuid, conversation: Uuid };

/** Where a client stopped reading. `turn`, `attempt` and `seq` come together or not at all. */
export const After = Type.Union([
  Type.Object({ revision: Type.Integer({ minimum: 0 }) }, closed),
  Type.Object(
    {
      revision: Type.Integer({ minimum: 0 }),
      turn: Uuid,
      attempt: Type.Integer({ minimum: 1 }),
      seq: Type.Integer({ minimum: 0 }),
    },
    closed,
  ),
]);
export type After = Static<typeof After>;

const Mode = Type.Union([
  Type.Literal("auto"),
  Type.Literal("chat"),
  Type.Literal("rag"),
  Type.Literal("agent"),
]);

const send = publicCommands.send.properties;
const regenerate = publicCommands.regenerate.properties;
const edit = publicCommands.edit.properties;

/** Client → server. `mode` and `collections` are accepted now and mean something once retrieval is there. */
export const clientFrames = {
  send: Type.Object(
    {
      type: Type.Literal("send"),
      ...addressed,
      ...send,
      mode: Type.Optional(Mode),
      collections: Type.Optional(Type.Array(Uuid, { maxItems: 32 })),
    },
    closed,
  ),
  cancel: Type.Object(
    { type: Type.Literal("cancel"), ...addressed, turn: Type.Optional(Uuid) },
    closed,
  ),
  regenerate: Type.Object(
    { type: Type.Literal("regenerate"), ...addressed, ...regenerate },
    closed,
  ),
  edit: Type.Object({ type: Type.Literal("edit"), ...addressed, ...edit }, closed),
  subscribe: Type.Object(
    { type: Type.Literal("subscribe"), ...addressed, after: Type.Optional(After) },
    closed,
  ),
  unsubscribe: Type.Object({ type: Type.Literal("unsubscribe"), ...addressed }, closed),
  watch: Type.Object({ type: Type.Literal("watch"), id: Uuid }, closed),
  auth: Type.Object(
    { type: Type.Literal("auth"), token: Type.String({ minLength: 1, maxLength: 8192 }) },
    closed,
  ),
  ping: Type.Object({ type: Type.Literal("ping") }, closed),
} as const;

export type ClientFrameType = keyof typeof clientFrames;
export type ClientFrame = {
  [T in ClientFrameType]: Static<(typeof clientFrames)[T]>;
}[ClientFrameType];

export const clientFrameChecks = {
  send: check(clientFrames.send),
  cancel: check(clientFrames.cancel),
  regenerate: check(clientFrames.regenerate),
  edit: check(clientFrames.edit),
  subscribe: check(clientFrames.subscribe),
  unsubscribe: check(clientFrames.unsubscribe),
  watch: check(clientFrames.watch),
  auth: check(clientFrames.auth),
  ping: check(clientFrames.ping),
} as const;

export const isClientFrameType = (type: unknown): type is ClientFrameType =>
  typeof type === "string" && Object.hasOwn(clientFrames, type);

/** An event as a client reads it: its data flattened beside its type; or only that it is hidden. */
export type ClientEvent = { readonly type: EventType; readonly redacted?: true } & Readonly<
  Record<string, unknown>
>;

export interface ReadyFrame {
  readonly type: "ready";
  readonly user: string;
  readonly tenant: string;
  readonly limits: {
    readonly frame_bytes_max: number;
    readonly text_chars_max: number;
    readonly subscriptions_max: number;
  };
}
export interface EventFrame {
  readonly type: "event";
  readonly conversation: string;
  readonly revision: number;
  readonly at: string;
  readonly event: ClientEvent;
}
export interface TokenOut {
  readonly type: "token";
  readonly conversation: string;
  readonly turn: string;
  readonly attempt: number;
  readonly seq: number;
  /** Set when the frames `from`…`seq` were merged into this one. */
  readonly from?: number;
  readonly content: string;
}
export interface EndFrame {
  readonly type: "end";
  readonly conversation: string;
  readonly turn: string;
  readonly finish: "stop" | "length" | "cancelled" | "failed";
  readonly usage: Usage;
}
export interface ConversationChange {
  readonly id: string;
  readonly title: string | null;
  readonly status: "active" | "archived" | "deleted";
  readonly revision: number;
  readonly updatedAt: string;
  /** What who watches may do with it. */
  readonly access: Access;
}

/** Server → client. */
export type ServerFrame =
  | ReadyFrame
  | {
      readonly type: "ack";
      readonly id: string;
      readonly conversation: string;
      readonly revision: number;
      readonly seq: number;
    }
  | { readonly type: "nack"; readonly id: string; readonly error: ErrorBody }
  | EventFrame
  | TokenOut
  | EndFrame
  | {
      readonly type: "subscribed";
      readonly id: string;
      readonly conversation: string;
      readonly revision: number;
    }
  | { readonly type: "unsubscribed"; readonly id: string; readonly conversation: string }
  /** Not asked for: the conversation cannot be read any more, and `error` says why. */
  | { readonly type: "unsubscribed"; readonly conversation: string; readonly error: ErrorBody }
  | { readonly type: "watched"; readonly id: string }
  | { readonly type: "changed"; readonly conversation: ConversationChange }
  /** It is not shared with who watches any more. */
  | { readonly type: "removed"; readonly conversation: string }
  | { readonly type: "authenticated"; readonly expiresIn: number }
  | {
      readonly type: "error";
      readonly code: string;
      readonly message: string;
      readonly retryAfter?: number;
    }
  | { readonly type: "pong" };

export const readyLimits: ReadyFrame["limits"] = {
  frame_bytes_max: limits.frame_bytes_max,
  text_chars_max: limits.text_chars_max,
  subscriptions_max: limits.subscriptions_per_socket_max,
};
