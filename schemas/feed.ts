/**
 * The public events of the feed: what integrations and webhooks are told, as CloudEvents 1.0. One
 * table says which events of the log are public, under which name and version, and in which shape,
 * so that the log's own events may change without anybody outside noticing. What is not in the table
 * stays inside. Secrets (hashes of passwords, tokens and keys) are in no row (I10).
 *
 * A shape only grows: another meaning, or a field that goes, is a new version with a row of its own.
 * docs/FEED.md is generated from this file.
 */
import Type, { type Static, type TObject } from "typebox";
import type { Commit } from "./commit.ts";
import type { DomainEvent, EventData, EventType } from "./events.ts";
import { Code, Usage } from "./events/fields.ts";
import { type ActorRef, IsoTime, Tenant, UserId, Uuid } from "./ids.ts";
import { Role } from "./permissions.ts";
import { feedSubject } from "./subjects.ts";

const closed = { additionalProperties: false } as const;
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

/** `colloquy.turn.completed.v1`: the `type` of a CloudEvent. */
export const cloudEventType = ({ type, v }: PublicEvent): string => `colloquy.${type}.v${v}`;

/** The CloudEvent of one public type, as JSON Schema. */
export const feedEventOf = (row: PublicEvent) =>
  Type.Object(
    {
      specversion: Type.Literal("1.0"),
      id: Type.String({ description: "`<actor id>:<revision>`; the same however often it comes." }),
      source: Type.String({ description: "`/tenants/<tenant>`." }),
      type: Type.Literal(cloudEventType(row)),
      subject: Type.String({ description: "`<kind>/<actor id>`, e.g. `conversation/<uuid>`." }),
      time: IsoTime,
      datacontenttype: Type.Literal("application/json"),
      dataschema: Type.Literal(`urn:colloquy:feed:${row.type}:v${row.v}`),
      sequence: Type.String({
        pattern: "^\\d{16}$",
        description: "Where it stands in the log; orders as text.",
      }),
      traceparent: Type.Optional(Type.String({ description: "W3C Trace Context." })),
      data: Type.Object(
        {
          timestamp: IsoTime,
          tenant_id: Tenant,
          user_id: Type.Union([UserId, Type.Null()], {
            description:
              "Who did it; of what the system did, the owner of the conversation. Null: an integration, or nobody.",
          }),
          event_type: Type.Literal(row.type),
          payload: row.payload,
        },
        closed,
      ),
    },
    closed,
  );

/** A message of the feed: the JSON of a CloudEvent and where it goes. */
export interface FeedEvent {
  readonly subject: string;
  readonly id: string;
  /** `turn.completed`; the type of the CloudEvent says more. */
  readonly name: string;
  readonly type: string;
  readonly json: string;
}

/**
 * The public form of the event at `index` of a commit; null when it stays inside. `owner` is the
 * user whose conversation it is.
 */
export function feedEvent(commit: Commit, index: number, owner: string | null): FeedEvent | null {
  const event = commit.events[index];
  const row = event === undefined ? undefined : publicEvents[event.type];
  if (event === undefined || row === undefined) return null;
  const { ref, by, at, traceparent } = commit;
  const id = `${ref.id}:${commit.revision + index}`;
  const type = cloudEventType(row);
  const json = JSON.stringify({
    ...{ specversion: "1.0", id, source: `/tenants/${ref.tenant}`, type },
    ...{ subject: `${ref.kind}/${ref.id}`, time: at, datacontenttype: "application/json" },
    dataschema: `urn:colloquy:feed:${row.type}:v${row.v}`,
    sequence: String(commit.sequence).padStart(16, "0"),
    ...(traceparent === null ? {} : { traceparent }),
    data: {
      timestamp: at,
      tenant_id: ref.tenant,
      user_id: by.type === "user" ? by.id : owner,
      event_type: row.type,
      payload: row.of(event, ref),
    },
  });
  return { subject: feedSubject(ref, row.type), id, name: row.type, type, json };
}
