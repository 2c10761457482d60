/**
 * What a conversation answers to a command: events, or a refusal by name. Pure, so that it can be
 * asked again after a lost append and tried on every state. Whoever is not the owner learns nothing,
 * not even that the conversation exists (I10).
 */
import type {
  CommandData,
  ConversationCommand,
  PublicCommandName,
} from "../../schemas/commands.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import type { By } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { get } from "../table.ts";
import {
  already_so,
  type Conversation,
  type Decision,
  decided,
  type DecisionContext,
  refused,
  wants_progress,
} from "./decision.ts";
import { decideReport, type NamedReport } from "./reports.ts";
import { ask, cancelAll, cancelQueued, cancelRunning, next } from "./turns.ts";

type Public<N extends PublicCommandName> = CommandData<N>;

export function decide(
  conversation: Conversation,
  command: ConversationCommand,
  context: DecisionContext,
): Decision {
  if (isReport(command)) return decideReport(conversation, command, context);
  const { life, state } = conversation;
  if (life === "absent") return decideAbsent(conversation, command, context);
  if (!mayAct(state.owner, context.by)) return refused("not_found");
  if (command.name === "idle") return idle(conversation, context);
  if (life === "deleted") {
    return command.name === "delete" ? already_so : refused("conversation_deleted");
  }
  switch (command.name) {
    case "create":
      return already_so;
    case "send":
    case "edit":
    case "regenerate":
      if (life === "archived") return refused("conversation_archived");
      return speak(conversation, command, context);
    case "cancel":
      return cancel(conversation, command.data, context);
    case "update":
      return update(conversation, command.data, context);
    case "delete": {
      const ended = cancelAll(state, "deleted", context);
      return ended === null ? wants_progress : decided(...ended, event("conversation.deleted", {}));
    }
  }
}

/** The names that come only from inside; what comes from outside was checked against the others. */
const reportNames: ReadonlySet<string> = new Set<NamedReport["name"]>([
  "checkpoint",
  "retry",
  "complete",
  "fail",
  "expire",
  "takeover",
]);
const isReport = (command: ConversationCommand): command is NamedReport =>
  reportNames.has(command.name);

/** A user acts on what is theirs; an integration acts for its whole tenant. */
export const mayAct = (owner: string | null, by: By): boolean =>
  by.type !== "user" || by.id === owner;

function decideAbsent(
  conversation: Conversation,
  command: Exclude<ConversationCommand, NamedReport>,
  context: DecisionContext,
): Decision {
  if (command.name !== "create" && command.name !== "send") return refused("not_found");
  const { model = null, overlap = "queue" } = command.data;
  if (model !== null && context.route(model) === null) return refused("model_not_found");
  const owner = context.by.type === "user" ? context.by.id : null;
  const origin = command.name === "create" ? (command.data.origin ?? "chat") : "chat";
  const started = event("conversation.started", { origin, owner, model, overlap });
  if (command.name === "create") {
    const { title } = command.data;
    return title === undefined ? decided(started) : decided(started, titled(title));
  }
  const sent = speak(conversation, command, context);
  return sent.is === "events" ? decided(started, ...sent.events) : sent;
}

const titled = (title: string): DomainEvent =>
  event("conversation.titled", { title, source: "user" });

/** The commands that ask for an answer. */
function speak(
  conversation: Conversation,
  command: Extract<ConversationCommand, { name: "send" | "edit" | "regenerate" }>,
  context: DecisionContext,
): Decision {
  const { state } = conversation;
  const { messages } = state;
  const { model, overlap } = command.data;
  if (command.name === "regenerate") {
    const answer = get(messages, command.data.message);
    if (answer?.role !== "assistant" || answer.parent === null) return refused("message_not_found");
    const asked = { user: answer.parent, model, overlap, added: null, joining: null };
    return ask(conversation, asked, context);
  }
  const message = context.command;
  if (get(messages, message) !== undefined) return refused("id_taken");
  const { text } = command.data;
  const added = (parent: string | null): DomainEvent =>
    event("message.added", { message, parent, role: "user", text });
  if (command.name === "edit") {
    const before = get(messages, command.data.message);
    if (before?.role !== "user") return refused("message_not_found");
    const asked = { user: message, model, overlap, added: added(before.parent), joining: null };
    return ask(conversation, asked, context);
  }
  const { parent } = command.data;
  if (typeof parent === "string" && get(messages, parent) === undefined) {
    return refused("message_not_found");
  }
  const follows = parent === undefined ? state.head : parent;
  // Who names a parent wants just that place; else it may join the message that waits.
  const joining = parent === undefined ? ({ user }: { user: string }) => added(user) : null;
  return ask(
    conversation,
    { user: message, model, overlap, added: added(follows), joining },
    context,
  );
}

function cancel(
  { state }: Conversation,
  { turn }: Public<"cancel">,
  context: DecisionContext,
): Decision {
  const { running, queue } = state;
  const waiting = queue.find((queuedTurn) => queuedTurn.turn === turn);
  if (waiting !== undefined) return decided(cancelQueued(waiting, "asked"));
  if (running === null || (turn !== undefined && turn !== running.turn)) return already_so;
  if (context.progress === null) return wants_progress;
  return decided(
    ...cancelRunning(running, "asked", context.progress, context),
    ...next(state, context),
  );
}

/** A conversation in which nothing has happened for long moves to the archive; nothing is lost. */
function idle({ life, state }: Conversation, { at }: DecisionContext): Decision {
  const rests = life === "active" && state.running === null && state.queue.length === 0;
  const idle_ms = Date.parse(at) - Date.parse(state.at);
  if (!rests || idle_ms < limits.conversation_idle_ms) return already_so;
  return decided(event("conversation.archived", {}));
}

function update(
  { life, state }: Conversation,
  { title, archived, head, model, overlap }: Public<"update">,
  context: DecisionContext,
): Decision {
  if (head !== undefined && get(state.messages, head) === undefined) {
    return refused("message_not_found");
  }
  if (typeof model === "string" && context.route(model) === null) return refused("model_not_found");
  const configured = {
    ...(model === undefined || model === state.model ? {} : { model }),
    ...(overlap === undefined || overlap === state.overlap ? {} : { overlap }),
  };
  const changes = [
    ...(title === undefined ? [] : [titled(title)]),
    ...(Object.keys(configured).length === 0 ? [] : [event("conversation.configured", configured)]),
    ...(head === undefined || head === state.head ? [] : [event("head.moved", { message: head })]),
  ];
  if (archived === true && life === "active") {
    const ended = cancelAll(state, "archived", context);
    if (ended === null) return wants_progress;
    return decided(...changes, ...ended, event("conversation.archived", {}));
  }
  if (archived === false && life === "archived") {
    return decided(event("conversation.restored", {}), ...changes);
  }
  return decided(...changes);
}
