/**
 * The public events: what integrations and webhooks are told. One table says which events of the log
 * are public, under which name and version, and in which shape, so that the log's own events may
 * change without anybody outside noticing. What is not in the table stays inside. Secrets (hashes of
 * passwords, tokens and keys) are in no row (I10).
 *
 * A shape only grows: another meaning, or a field that goes, is a new version with a row of its own.
 * docs/FEED.md is generated from this file.
 */
import Type, { type Static, type TObject } from "typebox";
import type { DomainEvent, EventData, EventType } from "./events.ts";
import { closed, Code, Usage } from "./events/fields.ts";
import { type ActorRef, UserId, Uuid } from "./ids.ts";
import { Role } from "./permissions.ts";

const Text = Type.String();
const Model = Type.String();
const nullable = <S extends Type.TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
const conversation = { conversation: Uuid };
const answer = { ...conversation, turn: Uuid, message: Uuid };

/** A public type of event. */
export interface PublicEvent {
  /** `<noun>.<verb>`: two tokens of the subject. */
  readonly type: string;
  readonly v: number;
  readonly says: string;
  /** The shape of `data.payload`. */
  readonly payload: TObject;
  readonly of: (event: DomainEvent, ref: ActorRef) => Readonly<Record<string, unknown>>;
}

const row =
  <T extends EventType>(_from: T) =>
  <S extends TObject>(
    type: `${string}.${string}`,
    says: string,
    payload: S,
    of: (data: EventData<T>, ref: ActorRef) => Static<S>,
  ): PublicEvent => ({
    ...{ type, v: 1, says, payload },
    // The row stands under its own type, so only such an event comes; the union cannot say so.
    of: ({ data }, ref) => of(data as EventData<T>, ref),
  });

/** What is told of a webhook: where it goes and its secret are nobody's business. */
const ofWebhook = Type.Object({ webhook: Uuid }, closed);
const webhookOf = ({ webhook }: { readonly webhook: string }) => ({ webhook });

const just = (_data: unknown, { id }: ActorRef) => ({ conversation: id });

/** Event type of the log → what is told of it. */
export const publicEvents: Readonly<Partial<Record<EventType, PublicEvent>>> = {
  "conversation.started": row("conversation.started")(
    "conversation.started",
    "A conversation exists.",
    Type.Object(
      {
        ...conversation,
        owner: nullable(UserId),
        origin: Type.Union([Type.Literal("chat"), Type.Literal("api")]),
        model: nullable(Model),
      },
      closed,
    ),
    ({ owner, origin, model }, { id }) => ({ conversation: id, owner, origin, model }),
  ),
  "conversation.titled": row("conversation.titled")(
    "conversation.titled",
    "It has a title: from its user, or its own (`self`).",
    Type.Object(
      {
        ...conversation,
        title: Text,
        by: Type.Union([Type.Literal("user"), Type.Literal("self")]),
      },
      closed,
    ),
    ({ title, source }, { id }) => ({ conversation: id, title, by: source }),
  ),
  "conversation.archived": row("conversation.archived")(
    "conversation.archived",
    "It was put away.",
    Type.Object(conversation, closed),
    just,
  ),
  "conversation.restored": row("conversation.restored")(
    "conversation.restored",
    "It takes messages again.",
    Type.Object(conversation, closed),
    just,
  ),
  "conversation.deleted": row("conversation.deleted")(
    "conversation.deleted",
    "It is gone, with its content: whoever keeps copies of its texts removes them, too. The feed holds nothing else of it any more.",
    Type.Object(conversation, closed),
    just,
  ),
  "message.added": row("message.added")(
    "message.created",
    "Somebody wrote a message. Answers are told by `turn.completed`.",
    Type.Object(
      {
        ...conversation,
        message: Uuid,
        parent: nullable(Uuid),
        role: Type.Union([Type.Literal("user"), Type.Literal("system"), Type.Literal("assistant")]),
        text: Text,
      },
      closed,
    ),
    (data, { id }) => ({ conversation: id, ...data }),
  ),
  "turn.started": row("turn.started")(
    "turn.started",
    "An answer is being written: `message` is its id, `question` the message that it answers.",
    Type.Object({ ...answer, question: Uuid, provider: Text, model: Model }, closed),
    ({ turn, message, user, provider, model }, { id }) => ({
      ...{ conversation: id, turn, message, question: user, provider, model },
    }),
  ),
  "turn.completed": row("turn.completed")(
    "turn.completed",
    "An answer is finished; `text` is all of it.",
    Type.Object(
      {
        ...answer,
        text: Text,
        finish: Type.Union([Type.Literal("stop"), Type.Literal("length")]),
        usage: Usage,
      },
      closed,
    ),
    ({ turn, message, text, finish, usage }, { id }) => ({
      ...{ conversation: id, turn, message, text, finish, usage },
    }),
  ),
  "turn.cancelled": row("turn.cancelled")(
    "turn.cancelled",
    "An answer was ended early and keeps the text that there was.",
    Type.Object(
      {
        ...answer,
        text: Text,
        reason: Type.Union([
          Type.Literal("asked"),
          Type.Literal("interrupted"),
          Type.Literal("archived"),
          Type.Literal("deleted"),
        ]),
        usage: Usage,
      },
      closed,
    ),
    ({ turn, message, text, reason, usage }, { id }) => ({
      ...{ conversation: id, turn, message, text, reason, usage },
    }),
  ),
  "turn.failed": row("turn.failed")(
    "turn.failed",
    "An answer could not go on and keeps the text that there was.",
    Type.Object({ ...answer, text: Text, code: Code, usage: Usage }, closed),
    ({ turn, message, text, code, usage }, { id }) => ({
      ...{ conversation: id, turn, message, text, code, usage },
    }),
  ),
  "model.attempted": row("model.attempted")(
    "model.called",
    "A model was called, whatever came of it: what it used and what it cost.",
    Type.Object(
      {
        ...{ ...conversation, turn: Uuid, provider: Text, model: Model },
        outcome: Type.Union([
          Type.Literal("completed"),
          Type.Literal("failed"),
          Type.Literal("cancelled"),
          Type.Literal("lost"),
        ]),
        usage: Usage,
        estimated: Type.Boolean(),
      },
      closed,
    ),
    ({ turn, provider, model, outcome, usage, estimated }, { id }) => ({
      ...{ conversation: id, turn, provider, model, outcome, usage, estimated },
    }),
  ),
  "chain.anchored": row("chain.anchored")(
    "chain.anchored",
    "The tenant's history is anchored: whoever keeps `root` elsewhere can prove that it was not rewritten.",
    Type.Object(
      {
        root: Type.String({ description: "SHA-256, hex." }),
        chains: Type.Integer({ minimum: 1 }),
        commits: Type.Integer({ minimum: 1 }),
        from: Type.Integer({ minimum: 1, description: "The first EVENTS sequence it covers." }),
        to: Type.Integer({ minimum: 1, description: "The last EVENTS sequence it covers." }),
      },
      closed,
    ),
    ({ root, chains, commits, from, sequence }) => ({ root, chains, commits, from, to: sequence }),
  ),
  "member.added": row("member.added")(
    "member.added",
    "Somebody belongs to the tenant.",
    Type.Object({ user: UserId, role: Role }, closed),
    ({ user, role }) => ({ user, role }),
  ),
  "member.changed": row("member.changed")(
    "member.changed",
    "A member has another role.",
    Type.Object({ user: UserId, role: Role }, closed),
    ({ user, role }) => ({ user, role }),
  ),
  "member.removed": row("member.removed")(
    "member.removed",
    "Somebody belongs to the tenant no longer.",
    Type.Object({ user: UserId }, closed),
    ({ user }) => ({ user }),
  ),
  "webhook.tested": row("webhook.tested")(
    "webhook.tested",
    "Somebody tries a webhook; no other webhook is told.",
    ofWebhook,
    webhookOf,
  ),
  "webhook.disabled": row("webhook.disabled")(
    "webhook.disabled",
    "A webhook had failed for days and was switched off.",
    ofWebhook,
    webhookOf,
  ),
};

/** The public types, in the order of the table. */
export const publicTypes: readonly PublicEvent[] = Object.values(publicEvents);
