/**
 * Given events, when a command, then events: what the tests of decisions share. Every decision asked
 * for here must also be allowed by the machine, event after event, or the test fails.
 */
import { strict as assert } from "node:assert";
import { createActor, type SnapshotFrom, transition } from "xstate";
import { decide } from "../../actors/conversation/decide.ts";
import type {
  Conversation,
  Decision,
  DecisionContext,
  Progress,
} from "../../actors/conversation/decision.ts";
import { conversationMachine } from "../../actors/conversation/machine.ts";
import type { ConversationEvent } from "../../actors/conversation/state.ts";
import type { CallReport } from "../../schemas/commands/conversation.ts";
import type { CommandData, ConversationCommand } from "../../schemas/commands.ts";
import type { Overlap } from "../../schemas/events/fields.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";

type Snapshot = SnapshotFrom<typeof conversationMachine>;
export type Situation = "absent" | "idle" | "running" | "waiting" | "archived" | "deleted";

export const usage = { tokensIn: 3, tokensOut: 4, costUsd: "0.000007" };
export const call: CallReport = { usage, estimated: false, first_token_ms: 10, total_ms: 90 };
/** What the running turn has published when a decision asks. */
export const progress: Progress = {
  ...{ text: "half an", seq: 2, frames: { lengths: [4, 3], times: [5, 20] }, call },
};

const route = { provider: "p", model: "m" };
export const started = (turn: string, user = "u"): DomainEvent =>
  event("turn.started", {
    ...{ turn, message: `${turn}-m`, user, attempt: 1, owner: "gone", ...route },
  });
export const queued = (turn: string): DomainEvent =>
  event("turn.queued", { turn, message: `${turn}-m`, user: "u", model: null });
export const restarted = (turn: string, attempt: number): DomainEvent =>
  event("turn.restarted", { turn, attempt, owner: "gone", ...route, reason: "owner_gone" });
const begun = event("conversation.started", {
  ...{ origin: "chat", owner: "ann", model: null, overlap: "queue" },
});
const ended = event("turn.completed", {
  ...{ turn: "t0", message: "t0-m", attempt: 1, seq: 1, text: "a" },
  ...{ frames: { lengths: [1], times: [0] }, usage, finish: "stop" },
});
const added = event("message.added", { message: "u", parent: null, role: "user", text: "q" });

/** Ann's: a question `u` that was answered by `t0-m`; then `t1` runs, then `t2` and `t3` wait. */
export const situations: Record<Situation, readonly DomainEvent[]> = (() => {
  const idle = [begun, added, started("t0"), ended];
  const running = [...idle, started("t1")];
  return {
    ...{ absent: [], idle, running, waiting: [...running, queued("t2"), queued("t3")] },
    archived: [...idle, event("conversation.archived", {})],
    deleted: [...idle, event("conversation.deleted", {})],
  };
})();

/** The snapshot after a commit; throws at the first event that the machine does not allow. */
export function after(before: Snapshot, events: readonly DomainEvent[], command = "c"): Snapshot {
  let snapshot = before;
  for (const { type, data } of events) {
    // The pair of type and data is that of the event; the union cannot say so for a spread.
    const input = {
      type,
      data,
      sequence: 1,
      command,
      at: "2026-01-01T00:00:00.000Z",
    } as ConversationEvent;
    const [next] = transition(conversationMachine, snapshot, input);
    assert(next !== snapshot, `${type} may not follow in ${JSON.stringify(snapshot.value)}`);
    snapshot = next;
  }
  return snapshot;
}

export const nothing = (): Snapshot =>
  createActor(conversationMachine, {
    input: { ref: { tenant: "acme", kind: "conversation", id: "c" } },
  })
    .start()
    .getSnapshot();

const conversationOf = ({ value, context }: Snapshot): Conversation => ({
  life: typeof value === "string" ? value : "active",
  state: context,
});

/** What a test may say otherwise of the context. */
export type Otherwise = Partial<Omit<DecisionContext, "progress">> & {
  readonly progress?: Progress;
};

/** Asks as the host does: without the progress first, and again with it when that is wanted. */
export function ask(
  before: Snapshot,
  command: ConversationCommand,
  { progress: known = progress, ...otherwise }: Otherwise = {},
): Exclude<Decision, { is: "progress" }> {
  let made = 0;
  const context: DecisionContext = {
    ...{ command: "new", by: { type: "user", id: "ann" }, worker: "here" },
    ids: () => `id${++made}`,
    route: (model) => (model === "unknown" ? null : { provider: "p", model: model ?? "default" }),
    ...{ full: false, overloaded: false, busy: false, at: "2026-01-02T00:00:00.000Z" },
    ...{ ...otherwise, progress: null },
  };
  let decision = decide(conversationOf(before), command, context);
  if (decision.is === "progress") {
    assert(before.context.running !== null, "progress is asked of a running turn only");
    decision = decide(conversationOf(before), command, { ...context, progress: known });
  }
  assert(decision.is !== "progress", "progress is asked for once");
  if (decision.is === "events") after(before, decision.events, context.command);
  return decision;
}

/** The decision in a given history, and in words: event types, or the refusal's code. */
export function when<N extends ConversationCommand["name"]>(
  history: readonly DomainEvent[],
  name: N,
  data: CommandData<N>,
  otherwise: Otherwise = {},
): { readonly events: readonly DomainEvent[]; readonly said: string } {
  // The signature pairs the name with its data; the union cannot say so for a generic.
  const command = { name, data } as ConversationCommand;
  const decision = ask(after(nothing(), history), command, otherwise);
  if (decision.is === "refused") return { events: [], said: `refused ${decision.code}` };
  return { events: decision.events, said: decision.events.map(({ type }) => type).join(" ") };
}

export const overlapping = (overlap: Overlap): DomainEvent =>
  event("conversation.configured", { overlap });

export type CommandName = ConversationCommand["name"];
export const t1 = { turn: "t1", attempt: 1 };
/** What a report says was published. */
export const published = { text: "all", seq: 1, frames: { lengths: [3], times: [0] } };
/** Of each command, one that fits the situations. */
export const data: { [N in CommandName]: CommandData<N> } = {
  create: {},
  send: { text: "next" },
  converse: { messages: [{ role: "user", text: "next" }] },
  edit: { message: "u", text: "other" },
  regenerate: { message: "t0-m" },
  cancel: {},
  update: { title: "t" },
  delete: {},
  share: { user: "ben", role: "viewer" },
  unshare: { user: "ben" },
  rate: { message: "t0-m", rating: "up" },
  checkpoint: { ...t1, first: 1, ...published },
  retry: { ...t1, call, code: "model_unavailable", detail: "" },
  complete: { ...t1, ...published, finish: "stop", call, title: null },
  fail: { ...t1, ...published, code: "model_stream_cut", detail: "", call },
  expire: t1,
  takeover: { ...t1, reason: "owner_gone" },
  idle: {},
};

/** What ends the running turn says. */
export const cancelled = "model.attempted turn.cancelled";
export const failed = "model.attempted turn.failed";
