/**
 * What a conversation answers to a command: events, or a refusal by name. Pure, so that it can be
 * asked again after a lost append and tried on every state. Whom it neither belongs to nor is shared
 * with learns nothing, not even that the conversation exists (I10).
 */
import type {
  CommandData,
  ConversationCommand,
  PublicCommandName,
} from "../../schemas/commands.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import { type Access, reaches, shareOf } from "../../schemas/sharing.ts";
import { get } from "../table.ts";
import { accessOf } from "./access.ts";
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
  const access = accessOf(state, context.by, context.manages);
  if (access === null) return refused("not_found");
  if (!reaches(access, leastFor(command))) return refused("forbidden");
  if (command.name === "idle") return idle(conversation, context);
  if (life === "deleted") {
    return command.name === "delete" ? already_so : refused("conversation_deleted");
  }
  switch (command.name) {
    case "create":
      return already_so;
    case "converse":
      return refused("id_taken");
    case "send":
    case "edit":
    case "regenerate":
      if (life === "archived") return refused("conversation_archived");
      return speak(conversation, command, context);
    case "cancel":
      return cancel(conversation, command.data, context);
    case "update":
      return update(conversation, command.data, context);
    case "share":
      return share(conversation, command.data);
    case "unshare": {
      const { user } = command.data;
      if (shareOf(state.shares, user) === null) return already_so;
      return decided(event("conversation.unshared", { user }));
    }
    case "rate":
      return rate(conversation, command.data, context);
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

/** What each command needs. */
const least: Record<Exclude<ConversationCommand, NamedReport>["name"], Access> = {
  ...{
    create: "owner",
    converse: "owner",
    delete: "owner",
    share: "owner",
    unshare: "owner",
    idle: "owner",
  },
  ...{ send: "editor", edit: "editor", regenerate: "editor", cancel: "editor", update: "owner" },
  rate: "viewer",
};

function leastFor(command: Exclude<ConversationCommand, NamedReport>): Access {
  if (command.name !== "update") return least[command.name];
  // Which branch is shown is a matter of what is written; all else it changes is the owner's.
  const { head, ...others } = command.data;
  return head !== undefined && Object.keys(others).length === 0 ? "editor" : least.update;
}

function decideAbsent(
  conversation: Conversation,
  command: Exclude<ConversationCommand, NamedReport>,
  context: DecisionContext,
): Decision {
  if (command.name === "converse") return converse(conversation, command.data, context);
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

/** A program's request, whole: what was said, by whom as it says, and the turn that answers. */
function converse(
  conversation: Conversation,
  { messages, model, sampling = {} }: Public<"converse">,
  context: DecisionContext,
): Decision {
  const question = messages.findLast(({ role }) => role === "user");
  if (question !== undefined && context.disallows?.(question.text) === true) {
    return refused("content_disallowed");
  }
  const owner = context.by.type === "user" ? context.by.id : null;
  const start = { origin: "api", owner, model: model ?? null, overlap: "queue" } as const;
  const added: DomainEvent[] = [];
  let parent: string | null = null;
  for (const [index, { role, text }] of messages.entries()) {
    const message: string = index === messages.length - 1 ? context.command : context.ids();
    added.push(event("message.added", { message, parent, role, text }));
    parent = message;
  }
  const wish = { model, overlap: undefined, added: null, joining: null };
  const asked = ask(conversation, { ...wish, user: context.command }, context);
  if (asked.is !== "events") return asked;
  return decided(
    event("conversation.started", { ...start, request: sampling }),
    ...added,
    ...asked.events,
  );
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
  if (context.disallows?.(text) === true) return refused("content_disallowed");
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

function share({ state }: Conversation, { user, role }: Public<"share">): Decision {
  if (user === state.owner) return refused("bad_request", "It is its owner's already.");
  const before = shareOf(state.shares, user);
  if (before === role) return already_so;
  const full = Object.keys(state.shares).length >= limits.shares_per_conversation_max;
  if (before === null && full) return refused("too_many_shares");
  return decided(event("conversation.shared", { user, role }));
}

function rate(
  { state }: Conversation,
  { message, rating, comment = "" }: Public<"rate">,
  context: DecisionContext,
): Decision {
  // A rating is a person's: the read model keeps one for each.
  if (context.by.type !== "user") return refused("forbidden");
  if (get(state.messages, message)?.role !== "assistant") return refused("message_not_found");
  if (context.full || state.ratings >= limits.ratings_per_conversation_max) {
    return refused("conversation_full");
  }
  return decided(event("message.rated", { message, rating, comment }));
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
