/**
 * A workspace: the complete table of its transitions, what it answers to every command in every
 * state, and that folding it is one function, by snapshot or from the first commit.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createActor, transition } from "xstate";
import { ForbiddenEvent } from "../../actors/kind.ts";
import { entriesOf, get } from "../../actors/table.ts";
import { decide } from "../../actors/workspace/decide.ts";
import { workspaceKind } from "../../actors/workspace/kind.ts";
import { workspaceMachine } from "../../actors/workspace/machine.ts";
import type { WorkspaceEvent } from "../../actors/workspace/state.ts";
import type { CommandData, WorkspaceCommand } from "../../schemas/commands.ts";
import { type Commit, zero_hash } from "../../schemas/commit.ts";
import { type DomainEvent, event, eventTypesOf } from "../../schemas/events.ts";
import { type By, workspaceRef } from "../../schemas/ids.ts";
import { type Role, roles } from "../../schemas/permissions.ts";

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

const [ann, bob, cy] = ["ann", "bob", "cy"];
const later = "2026-12-01T00:00:00.000Z";
const opened = event("workspace.opened", { name: "Acme" });
const added = (user: string, role: Role, invitation: string | null = null): DomainEvent =>
  event("member.added", { user, role, invitation });
const changed = (user: string, role: Role): DomainEvent => event("member.changed", { user, role });
const removed = (user: string): DomainEvent => event("member.removed", { user });
const invited = (invitation: string): DomainEvent =>
  event("invitation.created", {
    ...{ invitation, token: root(3), role: "member", email: null, user: null, expires: later },
  });
const keyed = (key: string, user: string): DomainEvent =>
  event("key.created", {
    ...{ key, user, name: "k", secret: root(4), scopes: ["read"], expires: null },
  });

const hooked = (webhook: string): DomainEvent =>
  event("webhook.created", { webhook, url: "https://a.example", types: ["*"], secret: "s" });
const rehooked = (webhook: string, enabled: boolean | null): DomainEvent =>
  event("webhook.changed", { webhook, url: null, types: null, secret: null, enabled });

/** How each state is reached: how far the log is anchored there, and who is in it. */
const situations = {
  absent: [],
  unanchored: [exported],
  anchored: [first],
  further: [first, exported, second],
  owned: [opened, added(ann, "owner")],
  peopled: [
    ...[opened, added(ann, "owner"), added(bob, "owner"), added(cy, "member")],
    ...[invited("i1"), keyed("k1", cy), keyed("k2", ann), hooked("w1")],
  ],
} satisfies Record<string, DomainEvent[]>;
type Situation = keyof typeof situations;

const empty = ["absent", "unanchored", "anchored", "further"] as const;
const present = ["unanchored", "anchored", "further", "owned", "peopled"] as const;
const anywhere = ["absent", ...present] as const;

/** Event → where it may happen; the state that follows is always the active one. */
const table: [string, DomainEvent, readonly Situation[]][] = [
  ["chain.anchored, the first", first, ["absent", "unanchored", "owned", "peopled"]],
  ["chain.anchored, the second", second, ["anchored"]],
  ["chain.anchored, a gap", anchored(anchor(12, 20, 2), root(1)), []],
  ["chain.anchored, nothing", anchored(anchor(11, 10, 2), root(1)), []],
  ["chain.anchored, another root before", anchored(anchor(11, 20, 2), root(9)), []],
  ["log.exported", exported, anywhere],
  ["workspace.opened", opened, empty],
  ["workspace.configured", event("workspace.configured", { name: "x" }), anywhere],
  ["member.added, a new one", added("dee", "owner"), present],
  ["member.added, one that is there", added(ann, "member"), ["unanchored", "anchored", "further"]],
  ["member.changed", changed(cy, "admin"), ["peopled"]],
  ["member.changed, the same role", changed(cy, "member"), []],
  ["member.changed, one of the owners", changed(ann, "viewer"), ["peopled"]],
  ["member.removed, one of the owners", removed(bob), ["peopled"]],
  ["member.removed, the last of all", removed(ann), ["owned"]],
  ["member.removed, whose key is good", removed(cy), []],
  ["invitation.created", invited("i2"), anywhere],
  ["invitation.created, one that is open", invited("i1"), anywhere.slice(0, -1)],
  [
    "invitation.accepted",
    event("invitation.accepted", { invitation: "i1", user: "dee" }),
    ["peopled"],
  ],
  ["invitation.revoked", event("invitation.revoked", { invitation: "i1" }), ["peopled"]],
  ["invitation.revoked, unknown", event("invitation.revoked", { invitation: "i2" }), []],
  ["key.created", keyed("k3", ann), anywhere],
  ["key.created, one that is good", keyed("k1", ann), anywhere.slice(0, -1)],
  ["key.revoked", event("key.revoked", { key: "k1" }), ["peopled"]],
  ["webhook.created", hooked("w2"), anywhere],
  ["webhook.created, one that is there", hooked("w1"), anywhere.slice(0, -1)],
  ["webhook.changed", rehooked("w1", false), ["peopled"]],
  ["webhook.changed, unknown", rehooked("w2", null), []],
  ["webhook.disabled", event("webhook.disabled", { webhook: "w1" }), ["peopled"]],
  ["webhook.disabled, unknown", event("webhook.disabled", { webhook: "w2" }), []],
  ["webhook.tested", event("webhook.tested", { webhook: "w1" }), ["peopled"]],
  ["webhook.replayed", event("webhook.replayed", { webhook: "w1", from: later }), ["peopled"]],
  ["webhook.removed", event("webhook.removed", { webhook: "w1" }), ["peopled"]],
  ["key.revoked, unknown", event("key.revoked", { key: "k3" }), []],
];

// The pair of type and data is that of the event.
const input = ({ type, data }: DomainEvent, by = system) =>
  ({ type, data, command: "c", at: "", by }) as WorkspaceEvent;
const reached = (events: readonly DomainEvent[]) => {
  let snapshot = createActor(workspaceMachine, { input: { ref } }).getSnapshot();
  for (const one of events) {
    expect(snapshot.can(input(one)), one.type).toBe(true);
    [snapshot] = transition(workspaceMachine, snapshot, input(one));
  }
  return snapshot;
};

const cells = table.flatMap(([name, one, where]) =>
  Object.entries(situations).map(([situation, events]) => ({
    ...{ name, one, situation, events },
    expected: where.some((name) => name === situation) ? "active" : null,
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
    const answer = decide(reached(situations[name]).context, command, { by, at: "" });
    if (answer.is === "refused") return answer.code;
    return answer.events.map(({ type }) => type).join(" ");
  };
  const all = ["absent", "unanchored", "anchored", "further"] as const;
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
    expect(decide(context, { name: "anchor", data }, { by: system, at: "" })).toEqual({
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

  test("I10: to whoever is not the system its duties do not exist", () => {
    const none = Object.fromEntries(all.map((name) => [name, "not_found"]));
    for (const type of ["user", "integration"] as const) {
      expect(answers({ name: "anchor", data: anchor(1, 5, 7) }, { type, id: "acme" })).toEqual(
        none,
      );
      expect(answers({ name: "record-export", data: wish }, { type, id: "ann" })).toEqual(none);
    }
    const tells = (type: By["type"]): boolean =>
      workspaceKind.create(ref).tells({ type, id: "acme" });
    expect([tells("integration"), tells("user"), tells("system")]).toEqual([false, true, true]);
  });
});

test("I10: an invitation is worth what whoever made it may still do", () => {
  const [owner, admin, guest] = [0, 1, 2].map(accountLike);
  const of = (id = ""): By => ({ type: "user", id });
  const join = (maker: By, ...since: DomainEvent[]) => {
    const before = [opened, added(owner ?? "", "owner"), added(admin ?? "", "admin")];
    let snapshot = reached(before);
    for (const one of [invited("i1"), ...since]) {
      [snapshot] = transition(workspaceMachine, snapshot, input(one, maker));
    }
    const data = { invitation: "i1", token: root(3) };
    const answer = decide(snapshot.context, { name: "join", data }, { by: of(guest), at: "" });
    return answer.is === "refused" ? answer.code : answer.events.at(-1)?.type;
  };
  expect(join(of(admin))).toBe("member.added");
  expect(join(of(admin), removed(admin ?? ""))).toBe("invitation_invalid");
  expect(join(of(admin), changed(admin ?? "", "member"))).toBe("invitation_invalid");
  // Whoever has no account was judged by his token.
  expect(join(of("ops"), removed(admin ?? ""))).toBe("member.added");
});

test("I10: an invitation is good until its end, with its own token", () => {
  const { context } = reached(situations.peopled);
  const join = (at: string, digit = 3): unknown => {
    const data = { invitation: "i1", token: root(digit) };
    const answer = decide(context, { name: "join", data }, { by: { type: "user", id: "eva" }, at });
    return answer.is === "refused" ? answer.code : answer.events.map(({ type }) => type);
  };
  const joined = ["invitation.accepted", "member.added"];
  expect(join("2026-11-30T23:59:59.999Z")).toEqual(joined);
  expect(join(later)).toBe("invitation_invalid");
  expect(join("2026-11-21T00:00:00.000Z", 4)).toBe("invitation_invalid");
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

/** The id of one of a few accounts. */
const accountLike = (at: number): string => `5d41402a-bc4b-8a76-b971-9d911017c59${at}`;

test("I3: I11: whatever members ask, what was decided may follow, and an owner stays", () => {
  const people = ["ann", "bob", "cy", "dee"].map((_, at) => accountLike(at));
  const step = fc.record({
    what: fc.constantFrom(
      ...(["open", "invite", "join", "join", "change", "change", "remove", "revoke"] as const),
      ...(["key", "drop"] as const),
    ),
    ...{ by: fc.nat(3), whom: fc.nat(3), role: fc.constantFrom(...roles), at: fc.nat(9) },
  });
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: "max" }), (steps) => {
      let snapshot = reached([]);
      let made = 0;
      const invitations: string[] = [];
      const keys: string[] = [];
      for (const { what, by: who, whom, role, at } of steps) {
        const [caller = "", user = ""] = [people[who], people[whom]];
        const fresh = `n${++made}`;
        const pick = (list: readonly string[]): string => list[at % list.length] ?? "none";
        const invite = { token: root(3), email: null, user: null, expires: later };
        const key = { name: "k", secret: root(4), scopes: ["read" as const], expires: null };
        const commands: Record<typeof what, () => WorkspaceCommand> = {
          open: () => ({ name: "open", data: { name: "x" } }),
          invite: () => ({ name: "invite", data: { ...invite, invitation: fresh, role } }),
          join: () => ({ name: "join", data: { invitation: pick(invitations), token: root(3) } }),
          change: () => ({ name: "change-member", data: { user, role } }),
          remove: () => ({ name: "remove-member", data: { user } }),
          revoke: () => ({ name: "revoke-invitation", data: { invitation: pick(invitations) } }),
          key: () => ({ name: "create-key", data: { ...key, key: fresh } }),
          drop: () => ({ name: "revoke-key", data: { key: pick(keys) } }),
        };
        const before = snapshot.context;
        const had = get(before.members, caller);
        const asking = {
          by: { type: "user", id: caller } as const,
          at: "2026-11-21T12:00:00.000Z",
        };
        const answer = decide(before, commands[what](), asking);
        if (answer.is === "refused") {
          seen.add(answer.code);
          continue;
        }
        for (const one of answer.events) {
          seen.add(one.type);
          // Throws at the first event that may not follow.
          const folded = input(one, asking.by);
          expect(snapshot.can(folded), one.type).toBe(true);
          [snapshot] = transition(workspaceMachine, snapshot, folded);
          if (one.type === "invitation.created") invitations.push(one.data.invitation);
          if (one.type === "key.created") keys.push(one.data.key);
          const makesOwner =
            (one.type === "member.changed" && one.data.role === "owner") ||
            (one.type === "invitation.created" && one.data.role === "owner");
          if (makesOwner) expect(had).toBe("owner");
        }
        const { members, owners, opened } = snapshot.context;
        const held = [...entriesOf(members)];
        expect(held).toHaveLength(members.size);
        expect(held.filter(([, one]) => one === "owner")).toHaveLength(owners);
        if (opened && members.size > 0) expect(owners).toBeGreaterThan(0);
        for (const [, { user: of }] of entriesOf(snapshot.context.keys)) {
          expect(get(members, of), "a key without its member").toBeDefined();
        }
      }
    }),
    { numRuns: 250 },
  );
  for (const one of ["last_owner", "already_member", "workspace_taken", "member.removed"]) {
    expect(seen, one).toContain(one);
  }
});
