/**
 * Decisions on reports: what an effect or the host's clock says of the running turn. One that speaks
 * of another turn or attempt is stale and changes nothing: winning the append of `turn.restarted` is
 * the right to run, and the reports of the attempt before are void (I5).
 */
import type { CommandData, ReportName } from "../../schemas/commands.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import {
  already_so,
  type Conversation,
  type Decision,
  decided,
  type DecisionContext,
  routeFor,
  wants_progress,
} from "./decision.ts";
import type { ConversationState, RunningTurn } from "./state.ts";
import { attempted, attemptToEnd, failed, next } from "./turns.ts";

export type NamedReport = {
  [N in ReportName]: { readonly name: N; readonly data: CommandData<N> };
}[ReportName];

export function decideReport(
  { state }: Conversation,
  report: NamedReport,
  context: DecisionContext,
): Decision {
  const { running } = state;
  const { turn, attempt } = report.data;
  if (running === null || running.turn !== turn || running.attempt !== attempt) return already_so;
  switch (report.name) {
    case "checkpoint": {
      const { first, seq, text, frames } = report.data;
      return decided(event("turn.checkpointed", { turn, attempt, first, seq, text, frames }));
    }
    case "retry": {
      const { call, code, detail } = report.data;
      return decided(attempted(running, "failed", call, { code, detail }));
    }
    case "complete":
      return complete(state, running, report.data, context);
    case "fail": {
      const { call, code, detail } = report.data;
      return decided(
        ...(call === null ? [] : [attempted(running, "failed", call, { code, detail })]),
        failed(running, report.data, code, detail),
        ...next(state, context),
      );
    }
    case "expire":
      return expire(state, running, context);
    case "takeover":
      return takeOver(state, running, report.data.reason, context);
  }
}

function complete(
  state: ConversationState,
  running: RunningTurn,
  data: CommandData<"complete">,
  context: DecisionContext,
): Decision {
  const { turn, message, attempt } = running;
  const { seq, text, frames, finish, call, title } = data;
  const titled: DomainEvent[] =
    state.titled || title === null || title === ""
      ? []
      : [event("conversation.titled", { title, source: "self" })];
  return decided(
    attempted(running, "completed", call),
    event("turn.completed", {
      ...{ turn, message, attempt, seq, text, frames },
      ...{ usage: call.usage, finish },
    }),
    ...titled,
    ...next(state, context),
  );
}

/** A turn without a word of its answer by its deadline ends; one that has begun to speak goes on. */
function expire(
  state: ConversationState,
  running: RunningTurn,
  context: DecisionContext,
): Decision {
  const { progress } = context;
  if (progress === null) return wants_progress;
  if (progress.seq > 0) return already_so;
  const code = "model_timeout";
  const detail = "The model did not begin to answer in time.";
  const { call } = progress;
  return decided(
    ...(call === null ? [] : [attempted(running, "failed", call, { code, detail })]),
    failed(running, progress, code, detail),
    ...next(state, context),
  );
}

/** A turn whose owner is lost goes on here, from the beginning of its answer (I7). */
function takeOver(
  state: ConversationState,
  running: RunningTurn,
  reason: CommandData<"takeover">["reason"],
  context: DecisionContext,
): Decision {
  const { progress } = context;
  if (progress === null) return wants_progress;
  const { turn, attempt } = running;
  const lost = progress.call === null ? [] : [attempted(running, "lost", progress.call)];
  if (attempt >= limits.turn_attempts_max) {
    const code = "turn_attempts_exhausted";
    const ending = attemptToEnd(running, progress, context);
    const last = { ...running, attempt: ending.attempt };
    const ended = failed(last, progress, code, "Its workers were lost, one after the other.");
    return decided(...lost, ...ending.voiding, ended, ...next(state, context));
  }
  const route = routeFor(context, running.model);
  return decided(
    ...lost,
    event("turn.restarted", {
      ...{ turn, attempt: attempt + 1, owner: context.worker },
      ...route,
      reason,
    }),
  );
}
