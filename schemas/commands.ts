/**
 * Commands: what may be asked of an actor. A command's payload on `cmd.…` is
 * `{"id":"<uuid>","data":{…}}`; its name is the subject's last token. `publicCommands` may come
 * from outside; `reports` come only from an actor's own effects and its host's clock, straight
 * into its mailbox, and never travel. `workerCommands` travel from a worker, or from the operator's
 * command line, to whoever owns the actor, now or by a schedule; without the system's signature they
 * are refused. `takesCommand` says which kind of actor takes which.
 */
import Type, { type Static, type TObject } from "typebox";
import { Code, eventSchemas, Overlap, TakeoverReason, Usage } from "./events.ts";
import { type Kind, Uuid } from "./ids.ts";
import { limits } from "./limits.ts";
import { FrameRecord } from "./tokens.ts";
import { check } from "./validate.ts";

const closed = { additionalProperties: false } as const;
const Text = Type.String({ minLength: 1, maxLength: limits.text_chars_max });
const Title = Type.String({ minLength: 1, maxLength: limits.title_chars_max });
const ModelName = Type.String({ minLength: 1, maxLength: limits.model_chars_max });
const Model = Type.Union([ModelName, Type.Null()]);

/** What a message may ask for beside its text. */
const asking = {
  model: Type.Optional(ModelName),
  overlap: Type.Optional(Overlap),
};

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
    },
    { ...closed, minProperties: 1 },
  ),
  delete: Type.Object({}, closed),
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

export const workerCommands = {
  /** Nothing may have happened for so long that the conversation moves to the archive. */
  idle: Type.Object({}, closed),
  /** To a workspace: the root over the heads of the tenant's chains that changed since the last. */
  anchor: Type.Omit(eventSchemas["chain.anchored"], ["previous"], closed),
  /** To a workspace: an operator took a copy of the tenant's events away. */
  "record-export": eventSchemas["log.exported"],
} as const satisfies Record<string, TObject>;

export type PublicCommandName = keyof typeof publicCommands;
export type ReportName = keyof typeof reports;
export type WorkerCommandName = keyof typeof workerCommands;
export type CommandName = PublicCommandName | ReportName | WorkerCommandName;
export type CommandData<N extends CommandName> = N extends PublicCommandName
  ? Static<(typeof publicCommands)[N]>
  : N extends ReportName
    ? Static<(typeof reports)[N]>
    : N extends WorkerCommandName
      ? Static<(typeof workerCommands)[N]>
      : never;

/** A command on its way to `decide`. */
export type NamedCommand = {
  [N in CommandName]: { readonly name: N; readonly data: CommandData<N> };
}[CommandName];

export type WorkerCommand = Extract<NamedCommand, { readonly name: WorkerCommandName }>;
export type WorkspaceCommand = Extract<NamedCommand, { readonly name: "anchor" | "record-export" }>;
export type ConversationCommand = Exclude<NamedCommand, WorkspaceCommand>;

export const isPublicCommand = (name: string): name is PublicCommandName =>
  Object.hasOwn(publicCommands, name);
export const isWorkerCommand = (name: string): name is WorkerCommandName =>
  Object.hasOwn(workerCommands, name);

const workspaceNames: ReadonlySet<string> = new Set<WorkspaceCommand["name"]>([
  "anchor",
  "record-export",
]);
export const isWorkspaceCommand = (command: NamedCommand): command is WorkspaceCommand =>
  workspaceNames.has(command.name);

const taken = {
  conversation: new Set<string>([...Object.keys(publicCommands), "idle"]),
  document: new Set<string>(),
  workspace: workspaceNames,
} as const satisfies Record<Kind, ReadonlySet<string>>;

/** Whether an actor of this kind takes messages with a command of this name. */
export const takesCommand = (
  kind: Kind,
  name: string,
): name is PublicCommandName | WorkerCommandName => taken[kind].has(name);

/** The commands whose message is the lease of the turn they begin. */
export const leasingCommands: ReadonlySet<string> = new Set(["send", "edit", "regenerate"]);

/** The payload of a command's message. */
export const CommandMessage = Type.Object(
  { id: Uuid, data: Type.Record(Type.String(), Type.Unknown()) },
  closed,
);
export type CommandMessage = Static<typeof CommandMessage>;
export const commandMessage = check(CommandMessage);

const checks = {
  create: check(publicCommands.create),
  send: check(publicCommands.send),
  regenerate: check(publicCommands.regenerate),
  edit: check(publicCommands.edit),
  cancel: check(publicCommands.cancel),
  update: check(publicCommands.update),
  delete: check(publicCommands.delete),
  idle: check(workerCommands.idle),
  anchor: check(workerCommands.anchor),
  "record-export": check(workerCommands["record-export"]),
};

/** Checks the data of a command that travels; a sentence when it does not fit. */
export function parseCommand(
  name: PublicCommandName | WorkerCommandName,
  data: unknown,
): { ok: true; command: NamedCommand } | { ok: false; problem: string } {
  const parsed = checks[name].parse(data);
  // `name` and the check that was just passed belong together; the compiler cannot pair them.
  return parsed.ok ? { ok: true, command: { name, data: parsed.value } as NamedCommand } : parsed;
}

/** What a worker answers on `Colloquy-Reply`. */
export const Reply = Type.Union([
  Type.Object({
    command: Uuid,
    ok: Type.Literal(true),
    revision: Type.Integer({ minimum: 0, description: "The commit's last revision." }),
    sequence: Type.Integer({ minimum: 0, description: "The commit's EVENTS sequence." }),
  }),
  Type.Object({
    command: Uuid,
    ok: Type.Literal(false),
    error: Type.Object({ code: Code, message: Type.String() }),
  }),
]);
export type Reply = Static<typeof Reply>;
export const isReply = check(Reply).is;
