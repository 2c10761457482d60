/**
 * What an account answers to every command. `account-table.test.ts` has its transitions,
 * `account-properties.test.ts` random histories; `account-host.test.ts` tries it on a real server.
 */
import { describe, expect, test } from "vitest";
import type { AccountCommand, CommandData } from "../../schemas/commands.ts";
import { refusalOf } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import type { By } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import {
  after,
  answer,
  closed,
  hash,
  id,
  joined,
  later,
  nothing,
  now,
  open,
  opened,
  password,
  refresh,
  refreshed,
  said,
  self,
  type Situation,
  situations,
} from "./accounts.ts";

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
