/** The complete table of an account's transitions: every event in every state. */
import { expect, test } from "vitest";
import { transition } from "xstate";
import type { Life } from "../../actors/account/decide.ts";
import { accountMachine } from "../../actors/account/machine.ts";
import { type DomainEvent, event, eventTypesOf } from "../../schemas/events.ts";
import {
  after,
  closed,
  deleted,
  input,
  joined,
  left,
  nothing,
  opened,
  password,
  refreshed,
  registered,
  type Situation,
  situations,
} from "./accounts.ts";

const there = ["alone", "belonging", "signedIn"] as const;
/** Event → where it may happen. */
const table: [string, DomainEvent, readonly Situation[]][] = [
  ["account.registered", registered, ["absent"]],
  ["account.joined, a new tenant", joined("third"), there],
  ["account.joined, where it belongs", joined("main"), ["alone"]],
  ["account.left", left("main"), ["belonging"]],
  ["account.left, where it never was", left("third"), []],
  ["profile.updated", event("profile.updated", { name: "B" }), there],
  ["settings.updated", event("settings.updated", { settings: {} }), there],
  ["password.changed", event("password.changed", { password }), there],
  ["session.opened", opened("s9"), ["belonging", "signedIn"]],
  ["session.opened, one that is open", opened("s1"), ["belonging"]],
  ["session.opened, where it does not belong", opened("s9", "third"), []],
  ["session.refreshed, the next token", refreshed("s1", 3), ["signedIn"]],
  ["session.refreshed, the same number", refreshed("s1", 2), []],
  ["session.refreshed, a gap", refreshed("s1", 4), []],
  ["session.closed", closed("s1"), ["signedIn"]],
  ["session.closed, unknown", closed("s9"), []],
  ["account.deleted", deleted, ["alone", "belonging"]],
];

const lives: Record<Situation, Life> = {
  ...{ absent: "absent", alone: "active", belonging: "active", signedIn: "active" },
  deleted: "deleted",
};

const cells = table.flatMap(([name, one, where]) =>
  Object.entries(situations).map(([situation, events]) => ({
    ...{ name, one, situation, events, allowed: where.some((at) => at === situation) },
  })),
);
test.each(cells)("$name when $situation → $allowed", ({ one, events, allowed }) => {
  const before = after(nothing(), events);
  const [next] = transition(accountMachine, before, input(one));
  expect(next !== before).toBe(allowed);
  expect(before.can(input(one))).toBe(allowed);
});

test("the table has every event type and every state", () => {
  expect(new Set(table.map(([, { type }]) => type))).toEqual(new Set(eventTypesOf.account));
  for (const [name, events] of Object.entries(situations)) {
    // The keys are those of `situations`.
    expect(after(nothing(), events).value).toBe(lives[name as Situation]);
  }
  expect(new Set(Object.values(lives))).toEqual(new Set(Object.keys(accountMachine.root.states)));
});
