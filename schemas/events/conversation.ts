/** The events of a conversation: its life, its messages and its turns. */
import Type, { type Static, type TObject } from "typebox";
import { UserId, Uuid } from "../ids.ts";
import { ShareRole } from "../sharing.ts";
import { Sampling } from "../sampling.ts";
import { FrameRecord, no_frames } from "../tokens.ts";
import { closed, Code, ModelName, NullableUuid, Overlap, Text, Usage } from "./fields.ts";

const Attempt = Type.Integer({ minimum: 0, description: "1 for the first; 0: never started." });
const Seq = Type.Integer({ minimum: 0, description: "The last frame of the attempt; 0: none." });

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

export const conversationEvents = {
  "conversation.started": Type.Object(
    {
      origin: Type.Union([Type.Literal("chat"), Type.Literal("api")]),
      owner: Type.Union([UserId, Type.Null()], {
        description: "The user it belongs to; null when an integration began it for its tenant.",
      }),
      model: Type.Union([ModelName, Type.Null()]),
      overlap: Overlap,
      /** It is one request of a program: archived when its turn ends, and answered like this. */
      request: Type.Optional(Sampling),
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
  /** With a user it is shared with already: another role. */
  "conversation.shared": Type.Object({ user: UserId, role: ShareRole }, closed),
  "conversation.unshared": Type.Object({ user: UserId }, closed),
  "conversation.archived": Type.Object({}, closed),
  "conversation.restored": Type.Object({}, closed),
  "conversation.deleted": Type.Object({}, closed),
  "message.added": Type.Object(
    {
      message: Uuid,
      parent: NullableUuid,
      role: Type.Union([Type.Literal("user"), Type.Literal("system"), Type.Literal("assistant")], {
        description:
          "Who speaks, as the sender says; `assistant` is an answer that he brought, which no turn gave here.",
      }),
      text: Text,
    },
    closed,
  ),
  /** What whoever did it thinks of an answer; `rating` null takes an earlier one back. */
  "message.rated": Type.Object(
    {
      message: Uuid,
      rating: Type.Union([Type.Literal("up"), Type.Literal("down"), Type.Null()]),
      comment: Text,
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

type ConversationEventType = keyof typeof conversationEvents;

export const conversationVersions = {
  "conversation.started": 1,
  "conversation.titled": 1,
  "conversation.configured": 1,
  "conversation.shared": 1,
  "conversation.unshared": 1,
  "conversation.archived": 1,
  "conversation.restored": 1,
  "conversation.deleted": 1,
  "message.added": 1,
  "message.rated": 1,
  "head.moved": 1,
  "turn.queued": 1,
  "turn.started": 1,
  "turn.restarted": 1,
  "turn.checkpointed": 1,
  "turn.completed": 1,
  "turn.cancelled": 1,
  "turn.failed": 1,
  "model.attempted": 1,
} as const satisfies Record<ConversationEventType, number>;

export const conversationContent = {
  "conversation.titled": { title: "" },
  "message.added": { text: "" },
  "message.rated": { comment: "" },
  "turn.checkpointed": { text: "", frames: no_frames },
  "turn.completed": { text: "", frames: no_frames },
  "turn.cancelled": { text: "", frames: no_frames },
  "turn.failed": { text: "", frames: no_frames, detail: "" },
  "model.attempted": { detail: "" },
} as const satisfies Partial<Record<ConversationEventType, object>>;
