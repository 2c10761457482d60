/**
 * An account: the complete table of its transitions, what it answers to every command, and what holds
 * after random histories of commands. `account-host.test.ts` tries it on a real server.
 */
import { hash as sha } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createActor, transition } from "xstate";
import { decide, type Life } from "../../actors/account/decide.ts";
import { accountKind } from "../../actors/account/kind.ts";
import { accountMachine } from "../../actors/account/machine.ts";
import type { AccountEvent } from "../../actors/account/state.ts";
import { fold, fromSnapshot, nothingFolded, toSnapshot } from "../../actors/loaded.ts";
import type { AccountCommand, CommandData } from "../../schemas/commands.ts";
import { refusalOf } from "../../schemas/commit.ts";
import { type DomainEvent, event, eventTypesOf } from "../../schemas/events.ts";
import { accountRef, type By, systemClock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";

const id = "5d41402a-bc4b-8a76-b971-9d911017c592";
const ref = accountRef(id);
const self: By = { type: "user", id };
const hash = (of: number | string): string => sha("sha256", String(of), "hex");
const now = "2026-11-21T12:00:00.000Z";
const later = "2026-12-21T12:00:00.000Z";
const password = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA";

const registered = event("account.registered", {
  ...{ home: "main", email: "ann@example.org", name: "Ann", password },
});
const joined = (tenant: string): DomainEvent => event("account.joined", { tenant });
const left = (tenant: string): DomainEvent => event("account.left", { tenant });
const opened = (session: string, tenant = "main"): DomainEvent =>
  event("session.opened", { session, tenant, token: hash(1), expires: later, device: "d" });
const refreshed = (session: string, generation: number): DomainEvent =>
  event("session.refreshed", { session, token: hash(generation), generation, expires: later });
const closed = (session: string): DomainEvent =>
  event("session.closed", { session, reason: "logout" });
const deleted = event("account.deleted", {});

/** How each state is reached. */
const situations = {
  absent: [],
  alone: [registered],
  belonging: [registered, joined("main"), joined("other")],
  signedIn: [registered, joined("main"), opened("s1"), refreshed("s1", 2), opened("s2")],
  deleted: [registered, deleted],
} satisfies Record<string, DomainEvent[]>;
type Situation = keyof typeof situations;
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

// The pair of type and data is that of the event.
const input = ({ type, data }: DomainEvent, at = now) =>
  ({ type, data, command: "c", at, by: self }) as AccountEvent;
const nothing = () => createActor(accountMachine, { input: { ref } }).getSnapshot();
type Snapshot = ReturnType<typeof nothing>;
const after = (snapshot: Snapshot, events: readonly DomainEvent[], at = now): Snapshot => {
  let reached = snapshot;
  for (const one of events) {
    expect(reached.can(input(one, at)), one.type).toBe(true);
    [reached] = transition(accountMachine, reached, input(one, at));
  }
  return reached;
};
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

/** What it answers: its events, or the code of its refusal. */
function answer(snapshot: Snapshot, command: AccountCommand, by = self, at = now) {
  return decide(snapshot.value, snapshot.context, command, { by, at });
}
const said = (snapshot: Snapshot, command: AccountCommand, by = self, at = now): string => {
  const answered = answer(snapshot, command, by, at);
  if (answered.is === "refused") return answered.code;
  after(snapshot, answered.events, at);
  return answered.events
    .map(({ type, data }) => ("reason" in data ? `${type} ${data.reason}` : type))
    .join(", ");
};
const open = (session: string, tenant = "main"): AccountCommand => ({
  name: "open-session",
  data: { session, tenant, token: hash(1), expires: later, device: "d" },
});
const refresh = (token: string, next: string, session = "s1"): AccountCommand => ({
  name: "refresh",
  data: { session, token, next, expires: later },
});

describe("decisions", () => {
  const rows: [AccountCommand, Record<Situation, string>][] = [
    [
      {
        name: "register",
        data: { home: "main", email: "ann@example.org", name: "Ann", password },
      },
      {
        absent: "account.registered",
        ...{ alone: "email_taken", belonging: "email_taken", signedIn: "email_taken" },
        deleted: "email_taken",
      },
    ],
    [
      { name: "join-tenant", data: { tenant: "main" } },
      {
        ...{ absent: "not_found", alone: "account.joined", belonging: "", signedIn: "" },
        deleted: "not_found",
      },
    ],
    [
      { name: "leave-tenant", data: { tenant: "main" } },
      {
        ...{ absent: "not_found", alone: "", belonging: "account.left" },
        signedIn: "session.closed removed, session.closed removed, account.left",
        deleted: "not_found",
      },
    ],
    [
      { name: "update-profile", data: { name: "B" } },
      {
        ...{ absent: "not_found", alone: "profile.updated", belonging: "profile.updated" },
        ...{ signedIn: "profile.updated", deleted: "not_found" },
      },
    ],
    [
      { name: "update-settings", data: { settings: { a: "x".repeat(limits.settings_bytes_max) } } },
      {
        ...{ absent: "not_found", alone: "too_large", belonging: "too_large" },
        ...{ signedIn: "too_large", deleted: "not_found" },
      },
    ],
    [
      { name: "change-password", data: { password, keep: "s2" } },
      {
        ...{ absent: "not_found", alone: "password.changed", belonging: "password.changed" },
        signedIn: "password.changed, session.closed password",
        deleted: "not_found",
      },
    ],
    [
      open("s1"),
      {
        ...{ absent: "not_found", alone: "forbidden", belonging: "session.opened" },
        // Its first token was refreshed since.
        ...{ signedIn: "id_taken", deleted: "not_found" },
      },
    ],
    [
      open("s2"),
      {
        ...{ absent: "not_found", alone: "forbidden", belonging: "session.opened" },
        ...{ signedIn: "", deleted: "not_found" },
      },
    ],
    [
      refresh(hash(2), hash(3)),
      {
        ...{ absent: "not_found", alone: "unauthenticated", belonging: "unauthenticated" },
        ...{ signedIn: "session.refreshed", deleted: "not_found" },
      },
    ],
    [
      { name: "close-session", data: { session: "s1" } },
      {
        ...{ absent: "not_found", alone: "", belonging: "" },
        ...{ signedIn: "session.closed logout", deleted: "not_found" },
      },
    ],
    [
      { name: "delete", data: {} },
      {
        ...{ absent: "not_found", alone: "account.deleted", belonging: "account_in_use" },
        ...{ signedIn: "account_in_use", deleted: "" },
      },
    ],
  ];
  test.each(rows)("$name is answered in every state", (command, expected) => {
    for (const [name, events] of Object.entries(situations)) {
      // The keys are those of `situations`.
      expect(said(after(nothing(), events), command), name).toBe(expected[name as Situation]);
    }
  });

  test("I10: to other users and to integrations it does not exist", () => {
    const others: By[] = [
      { type: "user", id: "ann" },
      { type: "integration", id },
    ];
    for (const by of others) {
      for (const events of Object.values(situations)) {
        for (const [command] of rows) {
          expect(said(after(nothing(), events), command, by)).toBe("not_found");
        }
      }
    }
  });

  const signedIn = after(nothing(), situations.signedIn);

  test("the system deletes an account wherever it belongs, as after a backup came back", () => {
    const command: AccountCommand = { name: "delete", data: {} };
    const answered = answer(signedIn, command, { type: "system", id: "operator" });
    const end = after(signedIn, answered.is === "events" ? answered.events : []);
    expect(end.value).toBe("deleted");
    expect(end.context).toMatchObject({ tenants: [], sessions: [], deletedBy: "c" });
  });

  test("a refresh token that was replaced ends its session, and the refusal is in the commit", () => {
    const answered = answer(signedIn, refresh(hash(1), hash(7)));
    expect(answered).toEqual({
      is: "events",
      events: [event("session.closed", { session: "s1", reason: "reused" })],
    });
    expect(refusalOf(answered.is === "events" ? answered.events : [])).toBe("refresh_reused");
    expect(refusalOf([closed("s1")])).toBeNull();
  });

  test("a token that nobody was given ends nothing", () => {
    expect(said(signedIn, refresh(hash(99), hash(7)))).toBe("unauthenticated");
    expect(said(signedIn, refresh(hash(2), hash(7), "s9"))).toBe("unauthenticated");
  });

  test("a refresh whose answer was lost is answered again for a moment, for the same next token", () => {
    const asked = refresh(hash(1), hash(2));
    const at = (ms: number): string => new Date(Date.parse(now) + ms).toISOString();
    expect(said(signedIn, asked, self, at(limits.refresh_grace_ms))).toBe("");
    expect(said(signedIn, asked, self, at(limits.refresh_grace_ms + 1))).toBe(
      "session.closed reused",
    );
    const twice = after(signedIn, [refreshed("s1", 3)]);
    expect(said(twice, asked)).toBe("session.closed reused");
  });

  test("a session that is too old is refreshed no more, and goes with the next sign-in", () => {
    expect(said(signedIn, refresh(hash(2), hash(3)), self, later)).toBe("unauthenticated");
    const data: CommandData<"open-session"> = {
      ...{ session: "s3", tenant: "main", token: hash(1), device: "" },
      expires: "2027-01-01T00:00:00.000Z",
    };
    expect(said(signedIn, { name: "open-session", data }, self, later)).toBe(
      "session.closed expired, session.closed expired, session.opened",
    );
    expect(said(signedIn, open("s3"), self, later)).toBe("bad_request");
  });

  test("I11: the oldest session gives way, and tenants have an end", () => {
    let snapshot = after(nothing(), situations.belonging);
    for (let at = 0; at < limits.sessions_per_account_max; at++) {
      snapshot = after(snapshot, [opened(`n${at}`)]);
    }
    expect(said(snapshot, open("more"))).toBe("session.closed replaced, session.opened");
    const many = Array.from({ length: limits.tenants_per_account_max - 2 }, (_, at) =>
      joined(`t${at}`),
    );
    const full = after(snapshot, many);
    expect(said(full, { name: "join-tenant", data: { tenant: "more" } })).toBe("too_many_tenants");
  });
});

test("I2: I4: a snapshot remembers that a commit was a refusal", () => {
  const ports = { content: { erase: () => Promise.resolve() }, clock: systemClock };
  const kind = accountKind({ ...ports, report: () => undefined }, { refresh: () => undefined });
  const reused = event("session.closed", { session: "s1", reason: "reused" });
  const loaded = nothingFolded(kind.create(ref));
  for (const [at, one] of [...situations.signedIn, reused].entries()) {
    fold(loaded, {
      ...{ ref, events: [one], revision: at + 1, sequence: at + 100, prev: "", hash: hash(at) },
      ...{ commit: `c${at}`, command: `k${at}`, by: self, at: now, traceparent: null },
      erased: false,
    });
  }
  const whole = JSON.stringify(toSnapshot(loaded));
  // It was written a line above.
  const stored = JSON.parse(whole) as ReturnType<typeof toSnapshot>;
  const again = fromSnapshot(kind.create(ref, stored.state), stored);
  expect(again.commits).toEqual(loaded.commits);
  expect(again.commits.get("k5")).toEqual({
    revision: 6,
    sequence: 105,
    refusal: "refresh_reused",
  });
  expect(again.commits.get("k4")?.refusal).toBeNull();
  expect(JSON.stringify(toSnapshot(again))).toBe(whole);
});

test("I3: I11: whatever is asked, what was decided may follow, and a token is good once", () => {
  const step = fc.record({
    what: fc.constantFrom(
      ...(["join", "leave", "open", "refresh", "refresh", "refresh", "reuse"] as const),
      ...(["guess", "close", "password", "delete"] as const),
    ),
    at: fc.nat(50),
    tenant: fc.constantFrom("main", "other"),
  });
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: "max" }), (steps) => {
      let snapshot = after(nothing(), situations.belonging);
      let made = 10;
      /** Session → all tokens that it was ever given, the good one last. */
      const tokens = new Map<string, string[]>();
      for (const { what, at, tenant } of steps) {
        const session = [...tokens.keys()][at % Math.max(1, tokens.size)] ?? "none";
        const given = [...(tokens.get(session) ?? [])];
        const next = hash(++made);
        const commands: Record<typeof what, () => AccountCommand> = {
          join: () => ({ name: "join-tenant", data: { tenant } }),
          leave: () => ({ name: "leave-tenant", data: { tenant } }),
          open: () => ({
            name: "open-session",
            data: { session: `s${made}`, tenant, token: next, expires: later, device: "" },
          }),
          refresh: () => refresh(given.at(-1) ?? hash(0), next, session),
          reuse: () => refresh(given[at % Math.max(1, given.length - 1)] ?? hash(0), next, session),
          guess: () => refresh(hash("f"), next, session),
          close: () => ({ name: "close-session", data: { session } }),
          password: () => ({ name: "change-password", data: { password, keep: session } }),
          delete: () => ({ name: "delete", data: {} }),
        };
        const command = commands[what]();
        const live = snapshot.context.sessions.some((one) => one.session === session);
        const answered = answer(snapshot, command);
        if (answered.is === "refused") {
          seen.add(answered.code);
          if (what === "refresh") expect(live).toBe(false);
          continue;
        }
        snapshot = after(snapshot, answered.events);
        for (const { type, data } of answered.events) {
          seen.add(type);
          if (type === "session.opened") tokens.set(data.session, [data.token]);
          if (type === "session.refreshed") tokens.get(data.session)?.push(data.token);
        }
        const open_now = new Set(snapshot.context.sessions.map((one) => one.session));
        // Shown when another had taken its place: whoever has a token of this session is out.
        if (what === "reuse" && live && given.length > 1) expect(open_now).not.toContain(session);
        expect(open_now.size).toBeLessThanOrEqual(limits.sessions_per_account_max);
        for (const one of snapshot.context.sessions) {
          expect(snapshot.context.tenants).toContain(one.tenant);
          expect(one.token).toBe(tokens.get(one.session)?.at(-1));
        }
      }
    }),
    { numRuns: 150 },
  );
  for (const one of ["session.refreshed", "session.closed", "unauthenticated", "account_in_use"]) {
    expect(seen, one).toContain(one);
  }
});
