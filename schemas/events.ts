/**
 * The events of each kind of actor, version 1: what the log says happened. Event types are two
 * tokens, `noun.verb`; data never has a field `type`, since clients read it flattened beside `type`.
 *
 * `contentFields` names what is content: those fields leave the plain commit and travel in its
 * sealed box. What they read as once the key is erased stands there too.
 */
import Type, { type Static, type TObject } from "typebox";
import { type ErrorCode, errors } from "./errors.ts";
import { type Kind, UserId, Uuid } from "./ids.ts";
import { FrameRecord, no_frames } from "./tokens.ts";

const closed = { additionalProperties: false } as const;
const Text = Type.String();
const NullableUuid = Type.Union([Uuid, Type.Null()]);
const ModelName = Type.String({ minLength: 1, maxLength: 128 });
const Attempt = Type.Integer({ minimum: 0, description: "1 for the first; 0: never started." });
const Seq = Type.Integer({ minimum: 0, description: "The last frame of the attempt; 0: none." });
export const Code = Type.Unsafe<ErrorCode>({
  type: "string",
  enum: Object.keys(errors),
  description: "A code of docs/ERRORS.md.",
});

export const Overlap = Type.Union(
  [Type.Literal("queue"), Type.Literal("interrupt"), Type.Literal("merge"), Type.Literal("reject")],
  { description: "What a new message does while a turn runs." },
);
export type Overlap = Static<typeof Overlap>;

export const Usage = Type.Object(
  {
    tokensIn: Type.Integer({ minimum: 0 }),
    tokensOut: Type.Integer({ minimum: 0 }),
    costUsd: Type.String({ pattern: "^\\d+\\.\\d{6}$", description: "US dollars, six places." }),
  },
  closed,
);
export type Usage = Static<typeof Usage>;

/** What every event that ends a turn carries; `text` is the whole answer, `frames` all its frames. */
const ending = {
  turn: Uuid,
  message: Uuid,
  attempt: Attempt,
  seq: Seq,
  text: Text,
  frames: FrameRecord,
  usage: Usage,
};

/**
 * Why a turn has a further attempt: the message that it is held by came again, its owner has ended,
 * its owner lives and says that it does not run it, or (`voided`) a worker that does not run it ends
 * it, in the same commit: that attempt never runs.
 */
export const TakeoverReason = Type.Union([
  Type.Literal("lease_redelivered"),
  Type.Literal("owner_gone"),
  Type.Literal("disowned"),
  Type.Literal("voided"),
]);
export type TakeoverReason = Static<typeof TakeoverReason>;

const conversationEvents = {
  "conversation.started": Type.Object(
    {
      origin: Type.Union([Type.Literal("chat"), Type.Literal("api")]),
      owner: Type.Union([UserId, Type.Null()], {
        description: "The user it belongs to; null when an integration began it for its tenant.",
      }),
      model: Type.Union([ModelName, Type.Null()]),
      overlap: Overlap,
    },
    closed,
  ),
  "conversation.titled": Type.Object(
    { title: Text, source: Type.Union([Type.Literal("user"), Type.Literal("self")]) },
    closed,
  ),
  "conversation.configured": Type.Object(
    {
      model: Type.Optional(Type.Union([ModelName, Type.Null()])),
      overlap: Type.Optional(Overlap),
    },
    closed,
  ),
  "conversation.archived": Type.Object({}, closed),
  "conversation.restored": Type.Object({}, closed),
  "conversation.deleted": Type.Object({}, closed),
  "message.added": Type.Object(
    {
      message: Uuid,
      parent: NullableUuid,
      role: Type.Union([Type.Literal("user"), Type.Literal("system")]),
      text: Text,
    },
    closed,
  ),
  "head.moved": Type.Object({ message: Uuid }, closed),
  /** Queued again with the same turn: another message joined it (overlap `merge`). */
  "turn.queued": Type.Object(
    { turn: Uuid, message: Uuid, user: Uuid, model: Type.Union([ModelName, Type.Null()]) },
    closed,
  ),
  "turn.started": Type.Object(
    {
      turn: Uuid,
      message: Uuid,
      user: Uuid,
      attempt: Type.Literal(1),
      owner: Type.String({ description: "The worker that runs it." }),
      provider: Type.String(),
      model: ModelName,
    },
    closed,
  ),
  "turn.restarted": Type.Object(
    {
      turn: Uuid,
      attempt: Type.Integer({ minimum: 2 }),
      owner: Type.String(),
      provider: Type.String(),
      model: ModelName,
      reason: TakeoverReason,
    },
    closed,
  ),
  /** `text` and `frames` since the checkpoint before; `first` is the seq of its first frame. */
  "turn.checkpointed": Type.Object(
    {
      turn: Uuid,
      attempt: Type.Integer({ minimum: 1 }),
      first: Type.Integer({ minimum: 1 }),
      seq: Seq,
      text: Text,
      frames: FrameRecord,
    },
    closed,
  ),
  "turn.completed": Type.Object(
    { ...ending, finish: Type.Union([Type.Literal("stop"), Type.Literal("length")]) },
    closed,
  ),
  "turn.cancelled": Type.Object(
    {
      ...ending,
      reason: Type.Union([
        Type.Literal("asked"),
        Type.Literal("interrupted"),
        Type.Literal("archived"),
        Type.Literal("deleted"),
      ]),
    },
    closed,
  ),
  "turn.failed": Type.Object({ ...ending, code: Code, detail: Text }, closed),
  /** One call of a model that happened, whatever came of it (I12). */
  "model.attempted": Type.Object(
    {
      turn: Uuid,
      attempt: Type.Integer({ minimum: 1 }),
      provider: Type.String(),
      model: ModelName,
      outcome: Type.Union([
        Type.Literal("completed"),
        Type.Literal("failed"),
        Type.Literal("cancelled"),
        Type.Literal("lost"),
      ]),
      usage: Usage,
      estimated: Type.Boolean({ description: "True when the provider did not say the usage." }),
      first_token_ms: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
      total_ms: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
      code: Type.Union([Code, Type.Null()]),
      detail: Text,
    },
    closed,
  ),
} as const satisfies Record<string, TObject>;

const Sequence = Type.Integer({ minimum: 1, description: "A sequence of EVENTS." });
const Root = Type.String({ pattern: "^[0-9a-f]{64}$", description: "SHA-256, hex." });

const workspaceEvents = {
  /** What `streams/proof/anchors.ts` computes and checks. */
  "chain.anchored": Type.Object(
    {
      root: Root,
      previous: Type.String({
        pattern: "^[0-9a-f]{64}$",
        description: "The root of the anchor before; 64 zeros for the first.",
      }),
      chains: Type.Integer({ minimum: 1, description: "The leaves: chains that changed." }),
      commits: Type.Integer({ minimum: 1, description: "Commits of the tenant in the window." }),
      from: Sequence,
      sequence: Type.Integer({ minimum: 1, description: "The last sequence that it covers." }),
      settled: Type.Integer({
        minimum: 0,
        description: "Up to here nothing of any tenant waits for its anchor.",
      }),
    },
    closed,
  ),
  "log.exported": Type.Object(
    {
      operator: Type.String({ minLength: 1, maxLength: 128, description: "Who exported it." }),
      from: Sequence,
      to: Sequence,
      commits: Type.Integer({ minimum: 0, description: "Commits of the tenant among them." }),
      keys: Type.Boolean({ description: "Whether the content keys went with them." }),
    },
    closed,
  ),
} as const satisfies Record<string, TObject>;

export const eventSchemas = { ...conversationEvents, ...workspaceEvents } as const;

export type EventType = keyof typeof eventSchemas;
export type ConversationEventType = keyof typeof conversationEvents;
export type WorkspaceEventType = keyof typeof workspaceEvents;
export type EventData<T extends EventType> = Static<(typeof eventSchemas)[T]>;

/** One event as it stands in a commit. */
export type DomainEvent = {
  [T in EventType]: { readonly type: T; readonly v: number; readonly data: EventData<T> };
}[EventType];

export const eventTypes = Object.keys(eventSchemas) as readonly EventType[]; // keys of a literal
/** The types of each kind of actor. */
export const eventTypesOf = {
  conversation: Object.keys(conversationEvents) as readonly ConversationEventType[], // as above
  document: [],
  workspace: Object.keys(workspaceEvents) as readonly WorkspaceEventType[], // as above
} as const satisfies Record<Kind, readonly EventType[]>;
export const isEventType = (type: string): type is EventType => Object.hasOwn(eventSchemas, type);

/** The current version of each event type; a change of shape raises it and adds an upcaster. */
export const eventVersions: Readonly<Record<EventType, number>> = {
  "conversation.started": 1,
  "conversation.titled": 1,
  "conversation.configured": 1,
  "conversation.archived": 1,
  "conversation.restored": 1,
  "conversation.deleted": 1,
  "message.added": 1,
  "head.moved": 1,
  "turn.queued": 1,
  "turn.started": 1,
  "turn.restarted": 1,
  "turn.checkpointed": 1,
  "turn.completed": 1,
  "turn.cancelled": 1,
  "turn.failed": 1,
  "model.attempted": 1,
  "chain.anchored": 1,
  "log.exported": 1,
};

/** The content of each event type, and what it reads as when its key has been erased. */
export const contentFields: Readonly<
  Partial<Record<EventType, Readonly<Record<string, unknown>>>>
> = {
  "conversation.titled": { title: "" },
  "message.added": { text: "" },
  "turn.checkpointed": { text: "", frames: no_frames },
  "turn.completed": { text: "", frames: no_frames },
  "turn.cancelled": { text: "", frames: no_frames },
  "turn.failed": { text: "", frames: no_frames, detail: "" },
  "model.attempted": { detail: "" },
};

/** The types that end a turn. */
export const endingTypes = ["turn.completed", "turn.cancelled", "turn.failed"] as const;
export type EndingType = (typeof endingTypes)[number];
export const isEnding = (type: string): type is EndingType =>
  (endingTypes as readonly string[]).includes(type);

/** Makes an event of the current version. */
export function event<T extends EventType>(type: T, data: EventData<T>): DomainEvent {
  // The pair of type and data is checked by the signature; the union cannot say so for a generic.
  return { type, v: eventVersions[type], data } as DomainEvent;
}
