/** Accounts and workspaces as read models, on both databases: the rows, and what is asked of them. */
import { beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import type { Queries } from "../../projections/queries/queries.ts";
import { rebuild } from "../../projections/rebuild/rebuild.ts";
import type { Commit } from "../../schemas/commit.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { accountRef, type ActorRef, refKey, workspaceRef } from "../../schemas/ids.ts";
import { dialects, dump, openLanes, serve, wipe } from "./databases.ts";
import { erased, place, seeded, uuid } from "./history.ts";
import { logOf } from "./memory-log.ts";
import { randomPeople } from "./people.ts";
import { rebuilding } from "./rebuilding.ts";

const applyAll = async (database: Database, history: readonly Commit[]): Promise<void> => {
  for (const lane of await openLanes(database)) expect(await lane.apply(history)).toEqual([]);
};
const random = seeded(5);
const id = (): string => uuid(random);
const hash = "ab".repeat(32);
const later = "2027-01-01T00:00:00.000Z";

/** Commits of one event each, in the order of the log. */
function told(...lines: readonly [ActorRef, DomainEvent][]): Commit[] {
  const revisions = new Map<string, number>();
  return lines.map(([ref, one], at) => {
    const revision = (revisions.get(refKey(ref)) ?? 0) + 1;
    revisions.set(refKey(ref), revision);
    return place(ref, [one], revision, at + 1, "", random);
  });
}

describe.each(dialects)("identity on $name", ({ missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let database: Database;
    let queries: Queries;
    serve(start, (opened) => ({ database, queries } = opened));
    beforeEach(() => wipe(database));

    test("I8: any split into batches, an erased account and a rebuild give the same rows", async () => {
      const history = randomPeople(3, 400);
      await applyAll(database, history);
      const whole = await dump(database);
      for (const table of ["accounts", "account_sessions", "members", "invitations", "api_keys"]) {
        expect(String(whole[table]).length, table).toBeGreaterThan(0);
      }
      // Whoever reads the database can sign in as nobody.
      expect(JSON.stringify(whole)).not.toContain("argon2id");
      for (const { events } of history) {
        for (const { data } of events) {
          if ("token" in data) expect(JSON.stringify(whole)).not.toContain(data.token);
          if ("secret" in data) expect(JSON.stringify(whole)).not.toContain(data.secret);
        }
      }
      await wipe(database);
      const deleted = new Set(
        history
          .filter(({ events }) => events.some(({ type }) => type === "account.deleted"))
          .map(({ ref }) => refKey(ref)),
      );
      expect(deleted.size).toBeGreaterThan(0);
      const forgotten = history.map((one) => (deleted.has(refKey(one.ref)) ? erased(one) : one));
      for (let at = 0; at < history.length; at += 23) {
        await applyAll(database, forgotten.slice(Math.max(0, at - 2), at + 23));
      }
      expect(await dump(database)).toEqual(whole);
      const ports = rebuilding(database, logOf(forgotten));
      expect(await rebuild(ports, projectors)).toMatchObject({ done: true });
      expect(await dump(database)).toEqual(whole);
    });

    test("an account is read with its sessions, and blank once it is deleted", async () => {
      const [ann, session, other] = [id(), id(), id()];
      const ref = accountRef(ann);
      const said = { email: "ann@example.org", name: "Ann" };
      const opened = { token: hash, expires: later, device: "Firefox" };
      const history = told(
        [ref, event("account.registered", { home: "acme", ...said, password: "$argon2id$x" })],
        [ref, event("account.joined", { tenant: "acme" })],
        [ref, event("settings.updated", { settings: { theme: "dark", empty: [] } })],
        [ref, event("session.opened", { session, tenant: "acme", ...opened })],
        [ref, event("session.opened", { session: other, tenant: "acme", ...opened })],
        [ref, event("session.closed", { session: other, reason: "logout" })],
      );
      await applyAll(database, history);
      const { identity } = queries;
      expect(await identity.account(ann, history.length)).toMatchObject({
        ...{ ...said, id: ann, status: "active", home: "acme", tenants: ["acme"], sequence: 6 },
        settings: { theme: "dark", empty: [] },
      });
      expect(await identity.sessions(ann)).toEqual([
        {
          ...{ session, tenant: "acme", device: "Firefox", expiresAt: later },
          ...{ openedAt: history[3]?.at, refreshedAt: history[3]?.at },
        },
      ]);
      expect(await identity.names([ann, "no-account", id()])).toEqual([
        { id: ann, name: "Ann", email: "ann@example.org" },
      ]);
      expect(await identity.account(id())).toBeNull();
      expect(await identity.account("x' OR 1=1")).toBeNull();
      const end = told(
        ...history.map(({ events: [one] }): [ActorRef, DomainEvent] => [
          ref,
          one ?? event("account.deleted", {}),
        ]),
        [ref, event("session.closed", { session, reason: "removed" })],
        [ref, event("account.left", { tenant: "acme" })],
        [ref, event("account.deleted", {})],
      );
      await applyAll(database, end.slice(history.length));
      const blank = { status: "deleted", email: "", name: "", settings: {} };
      expect(await identity.account(ann)).toMatchObject({ ...blank, tenants: [] });
      expect(await identity.sessions(ann)).toEqual([]);
      expect(await identity.names([ann])).toEqual([]);
    });

    test("I10: members, invitations and keys are their tenant's, page by page", async () => {
      const [acme, beta] = [workspaceRef("acme"), workspaceRef("beta")];
      const users = Array.from({ length: 7 }, (_, at) => `user-${at}`);
      const [invitation, used, key, gone] = [id(), id(), id(), id()];
      const invited = { token: hash, email: "bob@example.org", expires: later };
      const keyed = { name: "build", secret: hash, expires: null };
      const create = (one: string, user: string): DomainEvent =>
        event("key.created", { ...keyed, key: one, user, scopes: ["read", "write"] });
      const invite = (one: string): DomainEvent =>
        event("invitation.created", { ...invited, invitation: one, user: null, role: "member" });
      await applyAll(
        database,
        told(
          [acme, event("workspace.opened", { name: "Acme" })],
          ...users.map((user): [ActorRef, DomainEvent] => [
            acme,
            event("member.added", { user, role: "member", invitation: null }),
          ]),
          [acme, event("member.changed", { user: "user-1", role: "admin" })],
          [acme, event("member.removed", { user: "user-2" })],
          ...[invitation, used].map((one): [ActorRef, DomainEvent] => [acme, invite(one)]),
          [acme, event("invitation.accepted", { invitation: used, user: "user-3" })],
          [acme, create(key, "user-1")],
          [acme, create(gone, "user-2")],
          [acme, event("key.revoked", { key: gone })],
          [beta, event("member.added", { user: "user-2", role: "owner", invitation: null })],
        ),
      );
      const { identity } = queries;
      expect(await identity.workspace("acme")).toMatchObject({ name: "Acme" });
      expect(await identity.workspace("beta")).toBeNull();
      expect(await identity.member("acme", "user-1")).toMatchObject({ role: "admin" });
      expect(await identity.member("acme", "user-2")).toBeNull();
      expect(await identity.member("beta", "user-2")).toMatchObject({ role: "owner" });
      expect(await identity.member("accounts", "user-2")).toBeNull();
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const asked = { tenant: "acme", limit: 4, ...(cursor === undefined ? {} : { cursor }) };
        const { items, next } = await identity.members(asked);
        seen.push(...items.map(({ user }) => user));
        cursor = next ?? undefined;
      } while (cursor !== undefined);
      expect(seen).toEqual(users.filter((user) => user !== "user-2"));
      const page = { tenant: "acme", limit: 10 };
      for (const bad of ["x", Buffer.from('["members",7]').toString("base64url")]) {
        const asked = identity.members({ ...page, cursor: bad });
        await expect(asked).rejects.toMatchObject({ code: "bad_cursor" });
      }
      expect((await identity.invitations(page)).items).toMatchObject([
        { id: invitation, email: "bob@example.org", role: "member", status: "open" },
      ]);
      expect(await identity.invitation("acme", used)).toMatchObject({
        ...{ status: "accepted", acceptedBy: "user-3", email: null },
      });
      expect(await identity.invitation("beta", used)).toBeNull();
      expect(await identity.apiKey("acme", key)).toMatchObject({
        ...{ user: "user-1", scopes: ["read", "write"], revokedAt: null },
      });
      expect((await identity.apiKey("acme", gone))?.revokedAt).not.toBeNull();
      expect(await identity.apiKey("beta", key)).toBeNull();
      const keys = async (user: string | null): Promise<string[]> =>
        (await identity.apiKeys({ ...page, user })).items.map((one) => one.id);
      expect([await keys(null), await keys("user-1"), await keys("ann")]).toEqual([
        [key],
        [key],
        [],
      ]);
    });
  });
});
