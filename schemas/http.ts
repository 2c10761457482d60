/**
 * Bodies of the HTTP API (docs/PROTOCOL.md). Requests are checked at the boundary; responses are
 * built by `projections/queries` and the gateway in exactly these shapes.
 */
import Type, { type Static } from "typebox";
import { publicCommands } from "./commands/conversation.ts";
import { type ErrorCode, errors } from "./errors.ts";
import { Overlap, Usage } from "./events/fields.ts";
import { By, IsoTime, type Kind, kinds, Tenant, UserId, Uuid } from "./ids.ts";
import { Access, ShareRole } from "./sharing.ts";
import { PartitionView } from "./ownership.ts";

const closed = { additionalProperties: false } as const;
const nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);

/** `POST /api/v1/conversations`; the client may choose the id. */
export const CreateConversation = Type.Object(
  { id: Type.Optional(Uuid), ...publicCommands.create.properties },
  { ...closed, examples: [{ title: "Sagas" }] },
);

/** `POST …/messages`; `id` becomes the message's id, so a repeat with it takes effect once. */
export const PostMessage = Type.Object(
  { id: Type.Optional(Uuid), ...publicCommands.send.properties },
  { ...closed, examples: [{ text: "What is a saga?" }] },
);

/** `POST …/cancel`. As in the next two, `id` is the command's, so a repeat with it takes effect once. */
export const CancelTurn = Type.Object(
  { id: Type.Optional(Uuid), ...publicCommands.cancel.properties },
  closed,
);

/** `POST …/messages/{message}/regenerate`. */
export const RegenerateAnswer = Type.Object(
  { id: Type.Optional(Uuid), ...Type.Omit(publicCommands.regenerate, ["message"]).properties },
  closed,
);

/** `POST …/messages/{message}/edit`; `id` becomes the new message's id. */
export const EditMessage = Type.Object(
  { id: Type.Optional(Uuid), ...Type.Omit(publicCommands.edit, ["message"]).properties },
  { ...closed, examples: [{ text: "What is a saga in a distributed system?" }] },
);

/** `PATCH …/{id}`. */
export const UpdateConversation = Type.Object(
  Type.Omit(publicCommands.update, ["ifRevision"]).properties,
  {
    ...closed,
    minProperties: 1,
    examples: [{ title: "Sagas and compensation" }, { archived: true }],
  },
);

/** One user that a conversation is shared with. */
export const Share = Type.Object({ user: UserId, role: ShareRole });
export type Share = Static<typeof Share>;

/** `GET …/shares`: all of them; `next` is always null. */
export const SharesList = Type.Object({ items: Type.Array(Share), next: Type.Null() });
export type SharesList = Static<typeof SharesList>;

/** `PUT …/shares/{user}`. */
export const PutShare = Type.Object(
  { role: ShareRole },
  { ...closed, examples: [{ role: "viewer" }] },
);

/** `POST …/messages/{message}/rating`; `id` is the command's. */
export const PostRating = Type.Object(
  { id: Type.Optional(Uuid), ...Type.Omit(publicCommands.rate, ["message"]).properties },
  { ...closed, examples: [{ rating: "up", comment: "Just what I asked for." }] },
);

/** What `POST …/rating` answers. */
export const Rated = Type.Object({ message: Uuid, rating: publicCommands.rate.properties.rating });
export type Rated = Static<typeof Rated>;

export const Conversation = Type.Object(
  {
    id: Uuid,
    title: nullable(Type.String()),
    status: Type.Union([Type.Literal("active"), Type.Literal("archived"), Type.Literal("deleted")]),
    revision: Type.Integer({ minimum: 1 }),
    createdAt: IsoTime,
    updatedAt: IsoTime,
    owner: nullable(UserId),
    origin: Type.Union([Type.Literal("chat"), Type.Literal("api")]),
    model: nullable(Type.String()),
    overlap: Overlap,
    head: nullable(Uuid),
    /** The running turn, if any. */
    turn: nullable(Uuid),
    /** What who asks may do with it. */
    access: Access,
    /** Whom it is shared with, by user: to its owner, and not in lists; else null. */
    shares: nullable(Type.Array(Share)),
  },
  {
    examples: [
      {
        id: "01998b1c-6f02-7b1d-9e3c-2a4b5c6d7e8f",
        title: "Sagas",
        status: "active",
        revision: 9,
        createdAt: "2026-11-21T05:00:00.000Z",
        updatedAt: "2026-11-21T05:00:04.000Z",
        owner: "ann",
        origin: "chat",
        model: null,
        overlap: "queue",
        head: "01998b1c-7a10-7c3e-8d2f-4b5a6c7d8e9f",
        turn: null,
        access: "owner",
        shares: [{ user: "ben", role: "viewer" }],
      },
    ],
  },
);
export type Conversation = Static<typeof Conversation>;
/** A conversation as it is, whoever asks. */
export type StoredConversation = Omit<Conversation, "access" | "shares">;

export const Message = Type.Object({
  id: Uuid,
  conversation: Uuid,
  role: Type.Union([Type.Literal("user"), Type.Literal("assistant"), Type.Literal("system")]),
  text: Type.String(),
  parent: nullable(Uuid),
  turn: nullable(Uuid),
  model: nullable(Type.String()),
  citations: Type.Array(Type.Unknown()),
  createdAt: IsoTime,
  /** How an answer stands; a user's message is `done`. */
  status: Type.Union([
    Type.Literal("done"),
    Type.Literal("queued"),
    Type.Literal("generating"),
    Type.Literal("cancelled"),
    Type.Literal("failed"),
  ]),
  finish: nullable(
    Type.Union([
      Type.Literal("stop"),
      Type.Literal("length"),
      Type.Literal("cancelled"),
      Type.Literal("failed"),
    ]),
  ),
  usage: nullable(Usage),
  error: nullable(Type.Object({ code: Type.String(), message: Type.String() })),
  /** What who asks thinks of it. */
  rating: nullable(Type.Union([Type.Literal("up"), Type.Literal("down")])),
  /** The number of the event that brought it. */
  revision: Type.Integer({ minimum: 1 }),
});
export type Message = Static<typeof Message>;

/** `GET …/at/{revision}`: a conversation and a page of its messages as they were; `next` as in lists. */
export const ConversationState = Type.Object({
  conversation: Conversation,
  /** The whole tree, oldest first. */
  messages: Type.Array(Message),
  next: nullable(Type.String()),
});
export type ConversationState = Static<typeof ConversationState>;

/** One item of `GET …/events`: an event with the commit that brought it. */
export const LoggedEvent = Type.Object({
  revision: Type.Integer({ minimum: 1 }),
  type: Type.String(),
  data: Type.Record(Type.String(), Type.Unknown()),
  by: By,
  at: IsoTime,
  command: Uuid,
  commit: Uuid,
  /** There when its content was erased, or is not for who asks: those fields of `data` are blank then. */
  redacted: Type.Optional(Type.Literal(true)),
});
export type LoggedEvent = Static<typeof LoggedEvent>;

/** One item of `GET /api/v1/audit`: a commit, without anything that somebody wrote. */
export const AuditEntry = Type.Object({
  kind: Type.Unsafe<Kind>({ type: "string", enum: [...kinds] }),
  id: Uuid,
  /** The numbers of its first and last event. */
  revision: Type.Integer({ minimum: 1 }),
  lastRevision: Type.Integer({ minimum: 1 }),
  sequence: Type.Integer({ minimum: 1 }),
  at: IsoTime,
  by: By,
  /** The types of its events, each once, in their order. */
  actions: Type.Array(Type.String()),
  command: Uuid,
  commit: Uuid,
  traceId: nullable(Type.String()),
});
export type AuditEntry = Static<typeof AuditEntry>;

export const AuditList = Type.Object({
  items: Type.Array(AuditEntry),
  next: nullable(Type.String()),
  parked: Type.Array(Type.Object({ kind: AuditEntry.properties.kind, id: Uuid })),
});
/** `GET /api/v1/audit`. */
export interface AuditList extends Page<AuditEntry> {
  /** Actors whose later entries are missing, since the read model cannot go on with them. */
  readonly parked: readonly { readonly kind: Kind; readonly id: string }[];
}

/** 202 of `POST …/messages` and of every other command. */
export const Accepted = Type.Object(
  {
    /** Null for a `cancel` that found nothing to end. */
    message: nullable(Uuid),
    conversation: Uuid,
    revision: Type.Integer({ minimum: 1 }),
    seq: Type.Integer({ minimum: 1 }),
  },
  {
    examples: [
      {
        message: "01998b1c-7a10-7c3e-8d2f-4b5a6c7d8e9f",
        conversation: "01998b1c-6f02-7b1d-9e3c-2a4b5c6d7e8f",
        revision: 4,
        seq: 1234,
      },
    ],
  },
);
export type Accepted = Static<typeof Accepted>;

/** A list's answer; `Page` is its type. */
export const pageOf = <S extends Type.TSchema>(item: S) =>
  Type.Object({ items: Type.Array(item), next: nullable(Type.String()) });
export interface Page<T> {
  readonly items: readonly T[];
  /** Give it as `cursor` for the next page; null at the end. */
  readonly next: string | null;
}

export const Problem = Type.Object(
  {
    type: Type.String({ pattern: "^urn:colloquy:error:[a-z_]+$" }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    detail: Type.String(),
    code: Type.Enum(Object.keys(errors)),
    traceId: Type.String({ pattern: "^[0-9a-f]{32}$" }),
  },
  {
    examples: [
      {
        type: "urn:colloquy:error:not_found",
        title: "There is nothing here by this name.",
        status: 404,
        detail: "There is nothing here by this name.",
        code: "not_found",
        traceId: "0af7651916cd43dd8448eb211c80319c",
      },
    ],
  },
);
/** RFC 9457, `application/problem+json`. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly traceId: string;
}

/** `/openapi.json` and `/asyncapi.json`. */
export const Description = Type.Record(Type.String(), Type.Unknown());

/** `/health` and `/healthz`. */
export const Health = Type.Object({ status: Type.Literal("ok") });

/** `/metrics`. */
export const MetricsText = Type.String({ description: "Prometheus text format 0.0.4." });

export const Readiness = Type.Object({
  ready: Type.Boolean(),
  checks: Type.Array(
    Type.Object({ name: Type.String(), ok: Type.Boolean(), detail: Type.String() }),
  ),
  partitions: Type.Optional(Type.Array(PartitionView)),
});
/** `/ready`. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly ok: boolean;
    readonly detail: string;
  }[];
  /** How the partitions of the command queue stand, when that is known. */
  readonly partitions?: readonly PartitionView[];
}

/** What the page of an embedded installation gets from `POST /api/v1/auth/local`, on loopback only. */
export const LocalSignIn = Type.Object({
  accessToken: Type.String(),
  tenant: Tenant,
  user: UserId,
  expiresIn: Type.Integer({ minimum: 1, description: "Seconds." }),
});
export type LocalSignIn = Static<typeof LocalSignIn>;
