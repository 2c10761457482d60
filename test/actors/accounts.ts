/** Accounts in every state that tests need, what may be asked of one, and what it answers. */
import { hash as sha } from "node:crypto";
import { expect } from "vitest";
import { createActor, transition } from "xstate";
import { decide } from "../../actors/account/decide.ts";
import { accountMachine } from "../../actors/account/machine.ts";
import type { AccountEvent } from "../../actors/account/state.ts";
import type { AccountCommand } from "../../schemas/commands.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { accountRef, type By } from "../../schemas/ids.ts";

export const id = "5d41402a-bc4b-8a76-b971-9d911017c592";
export const ref = accountRef(id);
export const self: By = { type: "user", id };
export const hash = (of: number | string): string => sha("sha256", String(of), "hex");
export const now = "2026-11-21T12:00:00.000Z";
export const later = "2026-12-21T12:00:00.000Z";
export const password = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";

export const registered = event("account.registered", {
  ...{ home: "main", email: "ann@example.org", name: "Ann", password },
});
export const joined = (tenant: string): DomainEvent => event("account.joined", { tenant });
export const left = (tenant: string): DomainEvent => event("account.left", { tenant });
export const opened = (session: string, tenant = "main"): DomainEvent =>
  event("session.opened", { session, tenant, token: hash(1), expires: later, device: "d" });
export const refreshed = (session: string, generation: number): DomainEvent =>
  event("session.refreshed", { session, token: hash(generation), generation, expires: later });
export const closed = (session: string): DomainEvent =>
  event("session.closed", { session, reason: "logout" });
export const deleted = event("account.deleted", {});

/** How each state is reached. */
export const situations = {
  absent: [],
  alone: [registered],
  belonging: [registered, joined("main"), joined("other")],
  signedIn: [registered, joined("main"), opened("s1"), refreshed("s1", 2), opened("s2")],
  deleted: [registered, deleted],
} satisfies Record<string, DomainEvent[]>;
export type Situation = keyof typeof situations;

// The pair of type and data is that of the event.
export const input = ({ type, data }: DomainEvent, at = now) =>
  ({ type, data, command: "c", at, by: self }) as AccountEvent;
export const nothing = () => createActor(accountMachine, { input: { ref } }).getSnapshot();
export type Snapshot = ReturnType<typeof nothing>;
export const after = (snapshot: Snapshot, events: readonly DomainEvent[], at = now): Snapshot => {
  let reached = snapshot;
  for (const one of events) {
    expect(reached.can(input(one, at)), one.type).toBe(true);
    [reached] = transition(accountMachine, reached, input(one, at));
  }
  return reached;
};
/** What it answers: its events, or the code of its refusal. */
export function answer(snapshot: Snapshot, command: AccountCommand, by = self, at = now) {
  return decide(snapshot.value, snapshot.context, command, { by, at });
}
export const said = (snapshot: Snapshot, command: AccountCommand, by = self, at = now): string => {
  const answered = answer(snapshot, command, by, at);
  if (answered.is === "refused") return answered.code;
  after(snapshot, answered.events, at);
  return answered.events
    .map(({ type, data }) => ("reason" in data ? `${type} ${data.reason}` : type))
    .join(", ");
};
export const open = (session: string, tenant = "main"): AccountCommand => ({
  name: "open-session",
  data: { session, tenant, token: hash(1), expires: later, device: "d" },
});
export const refresh = (token: string, next: string, session = "s1"): AccountCommand => ({
  name: "refresh",
  data: { session, token, next, expires: later },
});
