/**
 * The complete table of a conversation's transitions: every event in every state. What is not in the
 * table may not happen. A new event type or state without a row fails the test.
 */
import { expect, test } from "vitest";
import { createActor, transition } from "xstate";
import { conversationMachine } from "../../actors/conversation/machine.ts";
import type { ConversationEvent } from "../../actors/conversation/state.ts";
import {
  type ConversationEventType,
  event,
  type EventData,
  eventTypesOf,
} from "../../schemas/events.ts";
import { no_frames } from "../../schemas/tokens.ts";

const usage = { tokensIn: 0, tokensOut: 0, costUsd: "0.000000" };
const route = { provider: "p", model: "m" };
const at = <T extends ConversationEventType>(type: T, data: EventData<T>) =>
  // The pair of type and data is checked by the signature; the union cannot say so for a generic.
  ({
    ...event(type, data),
    ...{ sequence: 1, command: "c", at: "2026-01-01T00:00:00.000Z" },
  }) as ConversationEvent;

const started = (turn: string): ConversationEvent =>
  at("turn.started", { turn, message: `${turn}-m`, user: "u", attempt: 1, owner: "w", ...route });
const queued = (turn: string): ConversationEvent =>
  at("turn.queued", { turn, message: `${turn}-m`, user: "u", model: null });
const ending = (turn: string, attempt: number) => ({
  ...{ turn, message: `${turn}-m`, attempt, seq: 0, text: "", frames: no_frames, usage },
});
const completed = (turn: string, attempt: number): ConversationEvent =>
  at("turn.completed", { ...ending(turn, attempt), finish: "stop" });
const failed = (turn: string, attempt: number): ConversationEvent =>
  at("turn.failed", { ...ending(turn, attempt), code: "internal", detail: "" });
const cancelled = (turn: string, attempt: number): ConversationEvent =>
  at("turn.cancelled", { ...ending(turn, attempt), reason: "asked" });
const restarted = (turn: string, attempt: number): ConversationEvent =>
  at("turn.restarted", { turn, attempt, owner: "w2", ...route, reason: "owner_gone" });
const checkpointed = (turn: string, attempt: number): ConversationEvent =>
  at("turn.checkpointed", { turn, attempt, first: 1, seq: 1, text: "a", frames: no_frames });
const attempted = (turn: string, attempt: number): ConversationEvent =>
  at("model.attempted", {
    ...{ turn, attempt, ...route, outcome: "failed", usage, estimated: true },
    ...{ first_token_ms: null, total_ms: null, code: null, detail: "" },
  });
const begun = at("conversation.started", {
  ...{ origin: "chat", owner: "ann", model: null, overlap: "queue" },
});
const added = at("message.added", { message: "u", parent: null, role: "user", text: "hi" });
const archived = at("conversation.archived", {});
const deleted = at("conversation.deleted", {});

/** How each state is reached. `between` is inside a commit: a turn has ended, the next not begun. */
const situations = {
  absent: [],
  idle: [begun, added],
  running: [begun, added, started("t1")],
  waiting: [begun, added, started("t1"), queued("t2"), queued("t3")],
  between: [begun, added, started("t1"), queued("t2"), queued("t3"), completed("t1", 1)],
  archived: [begun, added, archived],
  deleted: [begun, added, deleted],
} satisfies Record<string, ConversationEvent[]>;
type Situation = keyof typeof situations;

const idle = "active.idle";
const turn = "active.turn.generating";
/** In every state of an active conversation it may come, and changes none. */
const active = { idle, running: turn, waiting: turn, between: idle };

/** Event → the state that follows, by situation; where nothing stands it may not happen. */
const table: [string, ConversationEvent, Partial<Record<Situation, string>>][] = [
  ["conversation.started", begun, { absent: idle }],
  [
    "conversation.titled",
    at("conversation.titled", { title: "t", source: "user" }),
    { ...active, archived: "archived" },
  ],
  [
    "conversation.configured",
    at("conversation.configured", { overlap: "merge" }),
    { ...active, archived: "archived" },
  ],
  [
    "conversation.shared",
    at("conversation.shared", { user: "ben", role: "viewer" }),
    { ...active, archived: "archived" },
  ],
  [
    "conversation.unshared",
    at("conversation.unshared", { user: "ben" }),
    { ...active, archived: "archived" },
  ],
  [
    "message.rated",
    at("message.rated", { message: "t1-m", rating: "up", comment: "" }),
    { ...active, archived: "archived" },
  ],
  ["conversation.archived", archived, { idle: "archived" }],
  ["conversation.restored", at("conversation.restored", {}), { archived: idle }],
  ["conversation.deleted", deleted, { idle: "deleted", archived: "deleted" }],
  ["message.added", added, active],
  ["head.moved", at("head.moved", { message: "u" }), { ...active, archived: "archived" }],
  ["turn.queued, a new turn", queued("t9"), { running: turn, waiting: turn }],
  ["turn.queued, joined by a message", queued("t3"), { running: turn, waiting: turn }],
  ["turn.started, a new turn", started("t9"), { idle: turn }],
  ["turn.started, the next that waits", started("t2"), { idle: turn, between: turn }],
  ["turn.started, one that waits behind another", started("t3"), { idle: turn }],
  ["turn.restarted, the next attempt", restarted("t1", 2), { running: turn, waiting: turn }],
  ["turn.restarted, an attempt skipped", restarted("t1", 3), {}],
  ["turn.restarted, the same attempt", restarted("t1", 1), {}],
  ["turn.restarted, another turn", restarted("t2", 2), {}],
  ["turn.checkpointed", checkpointed("t1", 1), { running: turn, waiting: turn }],
  ["turn.checkpointed, another attempt", checkpointed("t1", 2), {}],
  ["turn.checkpointed, another turn", checkpointed("t2", 1), {}],
  ["turn.completed", completed("t1", 1), { running: idle, waiting: idle }],
  ["turn.completed, another attempt", completed("t1", 2), {}],
  ["turn.completed, another turn", completed("t2", 1), {}],
  ["turn.failed", failed("t1", 1), { running: idle, waiting: idle }],
  ["turn.failed, another attempt", failed("t1", 2), {}],
  ["turn.failed, another turn", failed("t2", 1), {}],
  ["turn.cancelled, the running one", cancelled("t1", 1), { running: idle, waiting: idle }],
  ["turn.cancelled, another attempt", cancelled("t1", 2), {}],
  ["turn.cancelled, one that waits", cancelled("t2", 0), { waiting: turn, between: idle }],
  ["turn.cancelled, an unknown one", cancelled("t9", 0), {}],
  ["model.attempted", attempted("t1", 1), { running: turn, waiting: turn }],
  ["model.attempted, another attempt", attempted("t1", 2), {}],
  ["model.attempted, another turn", attempted("t2", 1), {}],
];

const machine = conversationMachine;
const input = { ref: { tenant: "acme", kind: "conversation", id: "c" } } as const;
function reached(events: readonly ConversationEvent[]) {
  const actor = createActor(machine, { input }).start();
  for (const one of events) {
    const before = actor.getSnapshot();
    actor.send(one);
    expect(actor.getSnapshot(), one.type).not.toBe(before);
  }
  return actor.getSnapshot();
}
const path = (value: unknown): string =>
  typeof value === "object" && value !== null
    ? Object.entries(value)
        .map(([name, inner]) => `${name}.${path(inner)}`)
        .join("|")
    : String(value);

const cells = table.flatMap(([name, one, next]) =>
  Object.entries(situations).map(([situation, events]) => ({
    ...{ name, one, situation, events },
    // The keys are those of `situations`.
    expected: next[situation as Situation] ?? null,
  })),
);

test.each(cells)("$name when $situation → $expected", ({ one, events, expected }) => {
  const before = reached(events);
  const [after] = transition(machine, before, one);
  expect(after === before ? null : path(after.value)).toBe(expected);
  // What a decision is judged by says the same.
  expect(before.can(one)).toBe(expected !== null);
});

test("the table has every event type and every state", () => {
  expect(new Set(table.map(([, { type }]) => type))).toEqual(new Set(eventTypesOf.conversation));
  interface Node {
    readonly path: readonly string[];
    readonly states: Readonly<Record<string, Node>>;
  }
  const leavesOf = (node: Node): string[] => {
    const inner = Object.values(node.states);
    return inner.length === 0 ? [node.path.join(".")] : inner.flatMap(leavesOf);
  };
  const leaves = leavesOf(machine.root);
  const covered = Object.values(situations).map((events) => path(reached(events).value));
  expect(new Set(covered)).toEqual(new Set(leaves));
});

test("I4: a restarted turn enters its state anew, so that its effect is told its new attempt", () => {
  const before = reached(situations.running);
  const [, actions] = transition(machine, before, restarted("t1", 2));
  expect(actions.map(({ type }) => type)).toContain("xstate.spawnChild");
});
