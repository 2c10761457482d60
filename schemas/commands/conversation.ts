/** What may be asked of a conversation: from outside, and by its own effects and its host's clock. */
import Type, { type Static, type TObject } from "typebox";
import { TakeoverReason } from "../events/conversation.ts";
import { closed, Code, expecting, Overlap, Usage } from "../events/fields.ts";
import { UserId, Uuid } from "../ids.ts";
import { limits } from "../limits.ts";
import { ShareRole } from "../sharing.ts";
import { Sampling } from "../sampling.ts";
import { FrameRecord } from "../tokens.ts";

const Text = Type.String({ minLength: 1, maxLength: limits.text_chars_max });
const Title = Type.String({ minLength: 1, maxLength: limits.title_chars_max });
const ModelName = Type.String({ minLength: 1, maxLength: limits.model_chars_max });
const Model = Type.Union([ModelName, Type.Null()]);

/** What a message may ask for beside its text. */
const asking = {
  model: Type.Optional(ModelName),
  overlap: Type.Optional(Overlap),
};

const BroughtRole = Type.Union([
  Type.Literal("user"),
  Type.Literal("assistant"),
  Type.Literal("system"),
]);

/** What may come from outside. */
export const publicCommands = {
  /** Begins a conversation without a message; "already so" when it exists and is the sender's. */
  create: Type.Object(
    {
      title: Type.Optional(Title),
      model: Type.Optional(Model),
      overlap: Type.Optional(Overlap),
      origin: Type.Optional(Type.Union([Type.Literal("chat"), Type.Literal("api")])),
    },
    closed,
  ),
  /** The message's id is the command's id. Without `parent` it follows the head. */
  send: Type.Object(
    { text: Text, parent: Type.Optional(Type.Union([Uuid, Type.Null()])), ...asking },
    closed,
  ),
  /**
   * Begins a conversation that is one request of a program, with all that was said in it, and asks for
   * the answer to the last message, whose id is the command's id.
   */
  converse: Type.Object(
    {
      messages: Type.Array(
        Type.Object({ role: BroughtRole, text: Type.String({ minLength: 1 }) }, closed),
        { minItems: 1, maxItems: limits.request_messages_max },
      ),
      model: Type.Optional(ModelName),
      sampling: Type.Optional(Sampling),
    },
    closed,
  ),
  /** Another answer to the message that `message`, an answer, answers. */
  regenerate: Type.Object({ message: Uuid, ...asking }, closed),
  /** Another text beside `message`, a user's message; its id is the command's id. */
  edit: Type.Object({ message: Uuid, text: Text, ...asking }, closed),
  /** Ends the running turn, or the named one, queued or running. */
  cancel: Type.Object({ turn: Type.Optional(Uuid) }, closed),
  update: Type.Object(
    {
      title: Type.Optional(Title),
      archived: Type.Optional(Type.Boolean()),
      head: Type.Optional(Uuid),
      model: Type.Optional(Model),
      overlap: Type.Optional(Overlap),
      ...expecting,
    },
    { ...closed, minProperties: 1 },
  ),
  delete: Type.Object(expecting, closed),
  /** Lets a user of the tenant read it, or write in it, too; again with another role. */
  share: Type.Object({ user: UserId, role: ShareRole }, closed),
  unshare: Type.Object({ user: UserId }, closed),
  /** What its sender thinks of an answer; null takes an earlier rating back. */
  rate: Type.Object(
    {
      message: Uuid,
      rating: Type.Union([Type.Literal("up"), Type.Literal("down"), Type.Null()]),
      comment: Type.Optional(Type.String({ maxLength: limits.comment_chars_max })),
    },
    closed,
  ),
} as const satisfies Record<string, TObject>;

/** What an effect has published so far, as the log will keep it. */
const published = { seq: Type.Integer({ minimum: 0 }), text: Type.String(), frames: FrameRecord };

/** One call of a model that has ended; times are null when whoever made it is lost. */
export const CallReport = Type.Object(
  {
    usage: Usage,
    estimated: Type.Boolean(),
    first_token_ms: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
    total_ms: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  },
  closed,
);
export type CallReport = Static<typeof CallReport>;

const running = { turn: Uuid, attempt: Type.Integer({ minimum: 1 }) };

/** What comes from a conversation's own effects and its host's clock. */
export const reports = {
  /** The text since the checkpoint before. */
  checkpoint: Type.Object(
    { ...running, first: Type.Integer({ minimum: 1 }), ...published },
    closed,
  ),
  /** A call failed before its first token and will be made again. */
  retry: Type.Object({ ...running, call: CallReport, code: Code, detail: Type.String() }, closed),
  complete: Type.Object(
    {
      ...running,
      ...published,
      finish: Type.Union([Type.Literal("stop"), Type.Literal("length")]),
      call: CallReport,
      title: Type.Union([Type.String(), Type.Null()]),
    },
    closed,
  ),
  /** `call` is null when no call was made. */
  fail: Type.Object(
    {
      ...running,
      ...published,
      code: Code,
      detail: Type.String(),
      call: Type.Union([CallReport, Type.Null()]),
    },
    closed,
  ),
  /** The attempt has run for as long as it may without a word of its answer. */
  expire: Type.Object(running, closed),
  /** The host takes a running turn over; the context says what was published so far. */
  takeover: Type.Object(
    {
      ...running,
      reason: TakeoverReason,
    },
    closed,
  ),
} as const satisfies Record<string, TObject>;
