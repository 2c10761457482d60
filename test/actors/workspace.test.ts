/**
 * A workspace: the complete table of its transitions, what it answers to every command in every
 * state, and that folding it is one function, by snapshot or from the first commit.
 */
import { describe, expect, test } from "vitest";
import { createActor, transition } from "xstate";
import { ForbiddenEvent } from "../../actors/kind.ts";
import { decide } from "../../actors/workspace/decide.ts";
import { workspaceKind } from "../../actors/workspace/kind.ts";
import { workspaceMachine } from "../../actors/workspace/machine.ts";
import type { WorkspaceEvent } from "../../actors/workspace/state.ts";
import type { CommandData, WorkspaceCommand } from "../../schemas/commands.ts";
import { type Commit, zero_hash } from "../../schemas/commit.ts";
import { type DomainEvent, event, eventTypesOf } from "../../schemas/events.ts";
import { type By, workspaceRef } from "../../schemas/ids.ts";

const ref = workspaceRef("acme");
const system: By = { type: "system", id: "w" };
const root = (digit: number): string => String(digit).repeat(64);
const anchor = (from: number, sequence: number, digit: number): CommandData<"anchor"> => ({
  ...{ root: root(digit), chains: 2, commits: 3, from, sequence, settled: 0 },
});
const anchored = (data: CommandData<"anchor">, previous: string): DomainEvent =>
  event("chain.anchored", { ...data, previous });
const exported = event("log.exported", {
  ...{ operator: "ann", from: 1, to: 9, commits: 4, keys: false },
});
const first = anchored(anchor(1, 10, 1), zero_hash);
const second = anchored(anchor(11, 20, 2), root(1));

/** How each state is reached, and how far the log is anchored there. */
const situations = {
  absent: [],
  unanchored: [exported],
  anchored: [first],
  further: [first, exported, second],
} satisfies Record<string, DomainEvent[]>;
type Situation = keyof typeof situations;

/** Event → the state that follows, by situation; where null stands it may not happen. */
const table: [string, DomainEvent, Record<Situation, string | null>][] = [
  [
    "chain.anchored, the first",
    first,
    { absent: "active", unanchored: "active", anchored: null, further: null },
  ],
  [
    "chain.anchored, the second",
    second,
    { absent: null, unanchored: null, anchored: "active", further: null },
  ],
  [
    "chain.anchored, a gap",
    anchored(anchor(12, 20, 2), root(1)),
    { absent: null, unanchored: null, anchored: null, further: null },
  ],
  [
    "chain.anchored, nothing",
    anchored(anchor(11, 10, 2), root(1)),
    { absent: null, unanchored: null, anchored: null, further: null },
  ],
  [
    "chain.anchored, another root before",
    anchored(anchor(11, 20, 2), root(9)),
    { absent: null, unanchored: null, anchored: null, further: null },
  ],
  [
    "log.exported",
    exported,
    { absent: "active", unanchored: "active", anchored: "active", further: "active" },
  ],
];

// The pair of type and data is that of the event.
const input = ({ type, data }: DomainEvent) => ({ type, data }) as WorkspaceEvent;
const reached = (events: readonly DomainEvent[]) => {
  let snapshot = createActor(workspaceMachine, { input: { ref } }).getSnapshot();
  for (const one of events) {
    expect(snapshot.can(input(one)), one.type).toBe(true);
    [snapshot] = transition(workspaceMachine, snapshot, input(one));
  }
  return snapshot;
};

const cells = table.flatMap(([name, one, next]) =>
  Object.entries(situations).map(([situation, events]) => ({
    ...{ name, one, situation, events },
    // The keys are those of `situations`.
    expected: next[situation as Situation],
  })),
);

test.each(cells)("$name when $situation → $expected", ({ one, events, expected }) => {
  const before = reached(events);
  const [after] = transition(workspaceMachine, before, input(one));
  expect(after === before ? null : after.value).toBe(expected);
  expect(before.can(input(one))).toBe(expected !== null);
});

test("the table has every event type and every state", () => {
  expect(new Set(table.map(([, { type }]) => type))).toEqual(new Set(eventTypesOf.workspace));
  const covered = Object.values(situations).map((events) => reached(events).value);
  expect(new Set(covered)).toEqual(new Set(Object.keys(workspaceMachine.root.states)));
});

describe("decisions", () => {
  const wish: CommandData<"record-export"> = {
    ...{ operator: "ann", from: 1, to: 9, commits: 4, keys: true },
  };
  const asked = (name: Situation, command: WorkspaceCommand, by = system) => {
    const answer = decide(reached(situations[name]).context, command, by);
    if (answer.is === "refused") return answer.code;
    return answer.events.map(({ type }) => type).join(" ");
  };
  const all = Object.keys(situations) as Situation[]; // keys of a literal
  const answers = (command: WorkspaceCommand, by?: By) =>
    Object.fromEntries(all.map((name) => [name, asked(name, command, by)]));

  test("an anchor begins where the last one ended, or is refused by name", () => {
    const made = "chain.anchored";
    const behind = "anchor_behind";
    const anchors = (from: number, to: number, digit: number) =>
      answers({ name: "anchor", data: anchor(from, to, digit) });
    expect(anchors(1, 5, 7)).toEqual({
      ...{ absent: made, unanchored: made, anchored: behind, further: behind },
    });
    expect(anchors(11, 20, 7)).toEqual({
      ...{ absent: behind, unanchored: behind, anchored: made, further: behind },
    });
    expect(anchors(21, 21, 7)).toEqual({
      ...{ absent: behind, unanchored: behind, anchored: behind, further: made },
    });
    expect(anchors(21, 20, 7)).toEqual({
      ...{ absent: behind, unanchored: behind, anchored: behind, further: behind },
    });
  });

  test("I2: the last anchor, asked for again under any id, changes nothing", () => {
    expect(asked("anchored", { name: "anchor", data: anchor(1, 10, 1) })).toBe("");
    expect(asked("further", { name: "anchor", data: anchor(11, 20, 2) })).toBe("");
    expect(asked("further", { name: "anchor", data: anchor(1, 10, 1) })).toBe("anchor_behind");
  });

  test("I3: an anchor names the root of the one before, whatever was asked", () => {
    const { context } = reached(situations.anchored);
    const data = anchor(11, 20, 5);
    expect(decide(context, { name: "anchor", data }, system)).toEqual({
      is: "events",
      events: [anchored(data, root(1))],
    });
  });

  test("an export is recorded in every state", () => {
    const made = "log.exported";
    expect(answers({ name: "record-export", data: wish })).toEqual({
      ...{ absent: made, unanchored: made, anchored: made, further: made },
    });
  });

  test("I10: to whoever is not the system it does not exist", () => {
    const none = Object.fromEntries(all.map((name) => [name, "not_found"]));
    for (const type of ["user", "integration"] as const) {
      expect(answers({ name: "anchor", data: anchor(1, 5, 7) }, { type, id: "acme" })).toEqual(
        none,
      );
      expect(answers({ name: "record-export", data: wish }, { type, id: "ann" })).toEqual(none);
      expect(workspaceKind.create(ref).tells({ type, id: "acme" })).toBe(false);
    }
    expect(workspaceKind.create(ref).tells(system)).toBe(true);
  });
});

describe("the instance", () => {
  const commit = (at: number, ...events: DomainEvent[]): Commit => ({
    ...{ ref, events, revision: at, sequence: at + 100, prev: zero_hash, hash: root(at % 10) },
    ...{ commit: `c${at}`, command: `k${at}`, by: system, at: "", traceparent: null },
    erased: false,
  });

  test("I4: a snapshot and the tail make the state that all commits make", () => {
    const whole = workspaceKind.create(ref);
    const before = workspaceKind.create(ref);
    for (const one of [commit(1, first), commit(2, exported)]) {
      whole.fold(one);
      before.fold(one);
    }
    const stored: unknown = JSON.parse(JSON.stringify(before.state()));
    const after = workspaceKind.create(ref, stored);
    whole.wake();
    for (const instance of [whole, after]) instance.fold(commit(3, second));
    expect(JSON.stringify(after.state())).toBe(JSON.stringify(whole.state()));
  });

  test("I3: what the machine does not allow is never folded", () => {
    const instance = workspaceKind.create(ref);
    expect(() => instance.fold(commit(1, second))).toThrow(ForbiddenEvent);
    const foreign = event("conversation.archived", {});
    expect(() => instance.fold(commit(1, foreign))).toThrow(ForbiddenEvent);
    instance.fold(commit(1, first));
  });
});
