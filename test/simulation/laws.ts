/**
 * What each kind of actor must be at every place of its line, and what it must answer there: the pure
 * machine and the pure decision, told nothing of hosts, deliveries and time.
 */
import { createActor, transition } from "xstate";
import { decide } from "../../actors/conversation/decide.ts";
import type { DecisionContext } from "../../actors/conversation/decision.ts";
import { conversationMachine } from "../../actors/conversation/machine.ts";
import type { ConversationEvent, ConversationState } from "../../actors/conversation/state.ts";
import { decide as decideWorkspace } from "../../actors/workspace/decide.ts";
import { workspaceMachine } from "../../actors/workspace/machine.ts";
import { initialState, type WorkspaceEvent } from "../../actors/workspace/state.ts";
import { isConversationCommand, isWorkspaceCommand } from "../../schemas/commands.ts";
import type { Commit } from "../../schemas/commit.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import type { Message } from "./queue.ts";

/** An actor at one place of its line. */
export interface Standing {
  readonly value: unknown;
  readonly context: unknown;
  /** What it must answer there: "", the types of its events, or "refused" with a code. */
  answer(message: Message): string;
}

export interface Law {
  /** Before the first commit, and behind each. */
  readonly standings: readonly Standing[];
  /** The context at the end, folded in the other way. */
  readonly other: unknown;
  /** Of a conversation: how it ends. */
  readonly end: ConversationState | null;
}

export const lawOf = (ref: ActorRef, commits: readonly Commit[]): Law =>
  ref.kind === "workspace" ? workspaceLaw(ref, commits) : conversationLaw(ref, commits);

function conversationLaw(ref: ActorRef, commits: readonly Commit[]): Law {
  const live = createActor(conversationMachine, { input: { ref } }).start();
  let pure = live.getSnapshot();
  const snapshots = [pure];
  for (const { events, sequence, command, at } of commits) {
    for (const { type, data } of events) {
      // The pair of type and data is that of the event.
      const event = { type, data, sequence, command, at } as ConversationEvent;
      live.send(event);
      [pure] = transition(conversationMachine, pure, event);
    }
    snapshots.push(live.getSnapshot());
  }
  const standings = snapshots.map(({ value, context }) => ({
    ...{ value, context },
    answer({ command, id, by }: Message) {
      if (!isConversationCommand(command)) return "refused unknown_command";
      const life = typeof value === "string" ? value : ("active" as const);
      const asking: DecisionContext = {
        ...{ command: id, by, full: false, overloaded: false, busy: false, worker: "oracle" },
        at: context.at,
        ids: () => id,
        route: (model) => ({ provider: "simulated", model: model ?? "default" }),
        progress: { text: "", seq: 0, frames: { lengths: [], times: [] }, call: null },
      };
      return said(decide({ life, state: context }, command, asking));
    },
  }));
  return { standings, other: pure.context, end: live.getSnapshot().context };
}

function workspaceLaw(ref: ActorRef, commits: readonly Commit[]): Law {
  const live = createActor(workspaceMachine, { input: { ref } }).start();
  const snapshots = [live.getSnapshot()];
  for (const { events, command, at } of commits) {
    // The pair of type and data is that of the event.
    for (const { type, data } of events) live.send({ type, data, command, at } as WorkspaceEvent);
    snapshots.push(live.getSnapshot());
  }
  const standings = snapshots.map(({ value, context }) => ({
    ...{ value, context },
    answer: ({ command, by }: Message) =>
      isWorkspaceCommand(command)
        ? said(decideWorkspace(context, command, { by, at: "" }))
        : "refused unknown_command",
  }));
  const last = commits.flatMap(({ events }) => events).findLast(isAnchor);
  const { root, sequence } = last?.data ?? initialState(ref);
  const revision = commits.reduce((sum, { events }) => sum + events.length, 0);
  return { standings, other: { ...initialState(ref), root, sequence, revision }, end: null };
}

type Anchored = Extract<Commit["events"][number], { type: "chain.anchored" }>;
const isAnchor = (event: Commit["events"][number]): event is Anchored =>
  event.type === "chain.anchored";

function said(
  decision:
    | { readonly is: "events"; readonly events: Commit["events"] }
    | { readonly is: "refused"; readonly code: string }
    | { readonly is: "progress" },
): string {
  switch (decision.is) {
    case "events":
      return decision.events.map(({ type }) => type).join(" ");
    case "refused":
      return `refused ${decision.code}`;
    case "progress":
      return "progress";
  }
}
