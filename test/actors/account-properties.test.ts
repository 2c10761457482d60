/** What holds of an account after any history of commands, and of what a snapshot keeps of one. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { accountKind } from "../../actors/account/kind.ts";
import { fold, fromSnapshot, nothingFolded, toSnapshot } from "../../actors/loaded.ts";
import type { AccountCommand } from "../../schemas/commands.ts";
import { event } from "../../schemas/events.ts";
import { systemClock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import {
  after,
  answer,
  hash,
  later,
  nothing,
  now,
  password,
  ref,
  refresh,
  self,
  situations,
} from "./accounts.ts";

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
