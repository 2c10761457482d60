/** How turns begin, wait and end: the parts that several decisions share. Pure. */
import { type DomainEvent, event, type EventData } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import { no_frames } from "../../schemas/tokens.ts";
import {
  type Conversation,
  type Decision,
  decided,
  type DecisionContext,
  type Progress,
  refused,
  routeFor,
  wants_progress,
} from "./decision.ts";
import type { ConversationState, QueuedTurn, RunningTurn } from "./state.ts";

const no_usage = { tokensIn: 0, tokensOut: 0, costUsd: "0.000000" };

type CancelReason = EventData<"turn.cancelled">["reason"];

/** What a command asks of the turn that it begins. */
export interface Asked {
  /** The message to answer. */
  readonly user: string;
  readonly model: string | undefined;
  readonly overlap: ConversationState["overlap"] | undefined;
  /** The message itself when the command brings it; it comes before the turn. */
  readonly added: DomainEvent | null;
  /** The message as it would join the last waiting one; null when it cannot. */
  readonly joining: ((behind: QueuedTurn) => DomainEvent) | null;
}

/** Begins a turn, or what the overlap policy makes of it while another one runs. */
export function ask({ state }: Conversation, asked: Asked, context: DecisionContext): Decision {
  if (context.full) return refused("conversation_full");
  // His own doing comes first: it is no fault of the service.
  if (context.crowded === true) return refused("tenant_busy");
  if (context.overloaded) return refused("overloaded");
  const wished = asked.model ?? null;
  if (wished !== null && context.route(wished) === null) return refused("model_not_found");
  const added = asked.added === null ? [] : [asked.added];
  const turn: QueuedTurn = {
    turn: context.ids(),
    message: context.ids(),
    user: asked.user,
    model: wished,
    commands: [],
  };
  if (state.running === null) {
    if (context.busy) return refused("tenant_busy");
    return decided(...added, started(state, turn, context));
  }

  const overlap = asked.overlap ?? state.overlap;
  if (overlap === "reject") return refused("turn_running");
  if (overlap === "interrupt") {
    const ended = cancelAll(state, "interrupted", context);
    return ended === null
      ? wants_progress
      : decided(...ended, ...added, started(state, turn, context));
  }
  const last = state.queue.at(-1);
  if (overlap === "merge" && last !== undefined && asked.joining !== null) {
    return decided(asked.joining(last), queued({ ...last, user: asked.user }));
  }
  if (state.queue.length >= limits.turns_queued_per_conversation_max) return refused("queue_full");
  return decided(...added, queued(turn));
}

const queued = ({ turn, message, user, model }: QueuedTurn): DomainEvent =>
  event("turn.queued", { turn, message, user, model });

function started(
  state: ConversationState,
  { turn, message, user, model }: QueuedTurn,
  context: DecisionContext,
): DomainEvent {
  const route = routeFor(context, model ?? state.model);
  return event("turn.started", {
    ...{ turn, message, user, attempt: 1, owner: context.worker },
    ...route,
  });
}

/**
 * What follows a turn in the commit that ends it: the next waiting one begins; a conversation that was
 * one request of a program moves to the archive.
 */
export function next(state: ConversationState, context: DecisionContext): DomainEvent[] {
  const [first] = state.queue;
  if (first !== undefined) return [started(state, first, context)];
  return state.request === null ? [] : [event("conversation.archived", {})];
}

/** Ends the running turn and all that wait; null when the progress must be known first. */
export function cancelAll(
  state: ConversationState,
  reason: CancelReason,
  context: DecisionContext,
): DomainEvent[] | null {
  const waiting = state.queue.map((turn) => cancelQueued(turn, reason));
  if (state.running === null) return waiting;
  if (context.progress === null) return null;
  return [...cancelRunning(state.running, reason, context.progress, context), ...waiting];
}

/**
 * Whoever ends a turn without running it cannot know its last frame: its owner may still write, and
 * clients may have been told frames that the memory stream has lost. So the same text ends it as an
 * attempt of its own, which never runs: what comes of the one before is void from there on (I5).
 */
export function attemptToEnd(
  { turn, attempt, provider, model }: RunningTurn,
  progress: Progress,
  { worker: owner }: DecisionContext,
): { readonly attempt: number; readonly voiding: readonly DomainEvent[] } {
  if (progress.elsewhere !== true) return { attempt, voiding: [] };
  const data = { turn, attempt: attempt + 1, owner, provider, model };
  return {
    attempt: attempt + 1,
    voiding: [event("turn.restarted", { ...data, reason: "voided" })],
  };
}

/** The turn that runs ends with what it has published; what its call has used is on the bill. */
export function cancelRunning(
  running: RunningTurn,
  reason: CancelReason,
  progress: Progress,
  context: DecisionContext,
): DomainEvent[] {
  const { turn, message } = running;
  const { call, seq, text, frames } = progress;
  const usage = call?.usage ?? no_usage;
  const { attempt, voiding } = attemptToEnd(running, progress, context);
  return [
    ...(call === null ? [] : [attempted(running, "cancelled", call)]),
    ...voiding,
    event("turn.cancelled", { turn, message, attempt, seq, text, frames, usage, reason }),
  ];
}

/** A turn that waits ends without a word: attempt 0, no frame. */
export const cancelQueued = ({ turn, message }: QueuedTurn, reason: CancelReason): DomainEvent =>
  event("turn.cancelled", {
    ...{ turn, message, attempt: 0, seq: 0, text: "", frames: no_frames },
    ...{ usage: no_usage, reason },
  });

/** One call of a model, on the bill (I12). */
export function attempted(
  { turn, attempt, provider, model }: RunningTurn,
  outcome: EventData<"model.attempted">["outcome"],
  call: NonNullable<Progress["call"]>,
  failure: { code: EventData<"model.attempted">["code"]; detail: string } = {
    code: null,
    detail: "",
  },
): DomainEvent {
  return event("model.attempted", { turn, attempt, provider, model, outcome, ...call, ...failure });
}

/** The running turn ends as failed, with what it has published. */
export function failed(
  { turn, message, attempt }: RunningTurn,
  progress: Progress,
  code: EventData<"turn.failed">["code"],
  detail: string,
): DomainEvent {
  const { seq, text, frames, call } = progress;
  const usage = call?.usage ?? no_usage;
  return event("turn.failed", {
    ...{ turn, message, attempt, seq, text, frames, usage },
    ...{ code, detail },
  });
}
