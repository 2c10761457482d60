/**
 * Commands: what may be asked of an actor. A command's payload on `cmd.…` is
 * `{"id":"<uuid>","data":{…}}`; its name is the subject's last token, and one name means the same to
 * every kind that takes it. Each kind has a file in `schemas/commands/`; here they are joined.
 * `reports` come only from an actor's own effects and its host's clock, straight into its mailbox, and
 * never travel. `workerCommands` travel from a worker, or from the operator's command line, to whoever
 * owns the actor, now or by a schedule; without the system's signature they are refused.
 * `takesCommand` says which kind of actor takes which.
 */
import Type, { type Static, type TObject } from "typebox";
import { accountCommands } from "./commands/account.ts";
import { publicCommands, reports } from "./commands/conversation.ts";
import { workspaceCommands, workspaceDuties } from "./commands/workspace.ts";
import { closed, Code } from "./events/fields.ts";
import { type Kind, Uuid } from "./ids.ts";
import { type Check, check } from "./validate.ts";

export const workerCommands = {
  /** Nothing may have happened for so long that the conversation moves to the archive. */
  idle: Type.Object({}, closed),
  ...workspaceDuties,
} as const satisfies Record<string, TObject>;

/** Those whose messages are read: whatever does not come from inside the actor. */
const travelling = {
  ...accountCommands,
  ...workspaceCommands,
  ...publicCommands,
  ...workerCommands,
} as const;
const all = { ...travelling, ...reports } as const;

export type PublicCommandName = keyof typeof publicCommands;
export type ReportName = keyof typeof reports;
export type WorkerCommandName = keyof typeof workerCommands;
export type CommandName = keyof typeof all;
/** The names of commands that travel. */
export type TravellingName = keyof typeof travelling;
export type CommandData<N extends CommandName> = Static<(typeof all)[N]>;

/** A command on its way to `decide`. */
export type NamedCommand = {
  [N in CommandName]: { readonly name: N; readonly data: CommandData<N> };
}[CommandName];

type Named<N extends CommandName> = Extract<NamedCommand, { readonly name: N }>;
export type WorkerCommand = Named<WorkerCommandName>;
export type ConversationCommand = Named<PublicCommandName | ReportName | "idle">;
export type AccountCommand = Named<keyof typeof accountCommands>;
export type WorkspaceCommand = Named<keyof typeof workspaceCommands | keyof typeof workspaceDuties>;

export const isPublicCommand = (name: string): name is PublicCommandName =>
  Object.hasOwn(publicCommands, name);
export const isWorkerCommand = (name: string): name is WorkerCommandName =>
  Object.hasOwn(workerCommands, name);

export const isAccountCommand = (command: NamedCommand): command is AccountCommand =>
  taken.account.has(command.name);
export const isConversationCommand = (command: NamedCommand): command is ConversationCommand =>
  taken.conversation.has(command.name) || Object.hasOwn(reports, command.name);
export const isWorkspaceCommand = (command: NamedCommand): command is WorkspaceCommand =>
  taken.workspace.has(command.name);

const taken = {
  account: new Set<string>(Object.keys(accountCommands)),
  conversation: new Set<string>([...Object.keys(publicCommands), "idle"]),
  document: new Set<string>(),
  workspace: new Set<string>([...Object.keys(workspaceCommands), ...Object.keys(workspaceDuties)]),
} as const satisfies Record<Kind, ReadonlySet<string>>;

/** Whether an actor of this kind takes messages with a command of this name. */
export const takesCommand = (kind: Kind, name: string): name is TravellingName =>
  taken[kind].has(name);

/** The commands whose message is the lease of the turn they begin. */
export const leasingCommands: ReadonlySet<string> = new Set([
  "send",
  "converse",
  "edit",
  "regenerate",
]);

/** The payload of a command's message. */
export const CommandMessage = Type.Object(
  { id: Uuid, data: Type.Record(Type.String(), Type.Unknown()) },
  closed,
);
export type CommandMessage = Static<typeof CommandMessage>;
export const commandMessage = check(CommandMessage);

const checks = new Map<string, Check<unknown>>(
  Object.entries(travelling).map(([name, schema]) => [name, check<TObject>(schema)]),
);

/** Checks the data of a command that travels; a sentence when it does not fit. */
export function parseCommand(
  name: TravellingName,
  data: unknown,
): { ok: true; command: NamedCommand } | { ok: false; problem: string } {
  const parsed = checks.get(name)?.parse(data) ?? { ok: false, problem: "its name is not known" };
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
