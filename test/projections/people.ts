/**
 * Random valid histories of accounts and workspaces, as commits in the order of the log, from one
 * seed; apart from the actors, as `history.ts` is.
 */
import type { Commit } from "../../schemas/commit.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { accountRef, type ActorRef, workspaceRef } from "../../schemas/ids.ts";
import { roles } from "../../schemas/permissions.ts";
import { place, type Random, seeded, uuid } from "./history.ts";

const pick = <T>(random: Random, from: readonly T[]): T | undefined =>
  from[Math.floor(random() * from.length)];
const text = (random: Random): string =>
  pick(random, ["Ann", "Zoë 🙂", "a\0b", "it's", "{x}"]) ?? "";
const hash = (random: Random): string => `${uuid(random)}${uuid(random)}`.replaceAll("-", "");
const later = "2027-01-01T00:00:00.000Z";

type Next = () => DomainEvent[] | null;

/** Yields the events of its next commit; null when it is over. */
function account(random: Random): Next {
  let begun = false;
  let over = false;
  let tenants: string[] = [];
  let sessions: { id: string; tenant: string; generation: number }[] = [];
  const closed = (of: typeof sessions): DomainEvent[] =>
    of.map(({ id }) => event("session.closed", { session: id, reason: "removed" }));
  return () => {
    if (over) return null;
    if (!begun) {
      begun = true;
      const said = { email: "ann@example.org", name: text(random), password: "$argon2id$x" };
      return [event("account.registered", { home: "acme", ...said })];
    }
    const roll = random();
    const session = pick(random, sessions);
    const tenant = pick(random, tenants);
    if (roll < 0.02) {
      over = true;
      const left = tenants.map((one) => event("account.left", { tenant: one }));
      return [...closed(sessions), ...left, event("account.deleted", {})];
    }
    if (roll < 0.15) return [event("profile.updated", { name: text(random) })];
    if (roll < 0.25) return [event("settings.updated", { settings: { theme: text(random) } })];
    if (roll < 0.3) return [event("password.changed", { password: "$argon2id$y" })];
    if (roll < 0.4 && tenant !== undefined) {
      const there = sessions.filter((one) => one.tenant === tenant);
      tenants = tenants.filter((one) => one !== tenant);
      sessions = sessions.filter((one) => one.tenant !== tenant);
      return [...closed(there), event("account.left", { tenant })];
    }
    if (roll < 0.6 && session !== undefined) {
      session.generation += 1;
      const { id, generation } = session;
      const refreshed = { session: id, token: hash(random), generation, expires: later };
      return [event("session.refreshed", refreshed)];
    }
    if (roll < 0.7 && session !== undefined) {
      sessions = sessions.filter((one) => one !== session);
      return [event("session.closed", { session: session.id, reason: "logout" })];
    }
    if (tenant === undefined || roll < 0.75) {
      const joined = `t${tenants.length}-${Math.floor(random() * 1e6)}`;
      tenants = [...tenants, joined];
      return [event("account.joined", { tenant: joined })];
    }
    const opened = { id: uuid(random), tenant, generation: 1 };
    sessions = [...sessions, opened];
    const said = { token: hash(random), expires: later, device: text(random) };
    return [event("session.opened", { session: opened.id, tenant, ...said })];
  };
}

function workspace(random: Random): Next {
  let opened = false;
  let invitations: string[] = [];
  let keys: { key: string; user: string }[] = [];
  let revoked: string[] = [];
  const members = new Set<string>();
  const role = () => pick(random, roles) ?? "member";
  return () => {
    if (!opened) {
      opened = true;
      members.add("ann");
      const owner = { user: "ann", role: "owner", invitation: null } as const;
      return [event("workspace.opened", { name: text(random) }), event("member.added", owner)];
    }
    const roll = random();
    const user = pick(random, [...members].slice(1));
    const invitation = pick(random, invitations);
    const known = pick(random, keys);
    if (roll < 0.1) return [event("workspace.configured", { name: text(random) })];
    if (roll < 0.25) {
      const created = uuid(random);
      invitations = [...invitations, created];
      const email = random() < 0.5 ? null : "bob@example.org";
      const said = { token: hash(random), role: role(), email, user: null, expires: later };
      return [event("invitation.created", { invitation: created, ...said })];
    }
    if (roll < 0.45 && invitation !== undefined) {
      invitations = invitations.filter((one) => one !== invitation);
      const joining = `user-${Math.floor(random() * 8)}`;
      if (members.has(joining)) return [event("invitation.revoked", { invitation })];
      members.add(joining);
      return [
        event("invitation.accepted", { invitation, user: joining }),
        event("member.added", { user: joining, role: role(), invitation }),
      ];
    }
    if (roll < 0.6 && user !== undefined) return [event("member.changed", { user, role: role() })];
    if (roll < 0.7 && user !== undefined) {
      const gone = keys.filter((one) => one.user === user);
      keys = keys.filter((one) => one.user !== user);
      members.delete(user);
      return [
        ...gone.map(({ key }) => event("key.revoked", { key })),
        event("member.removed", { user }),
      ];
    }
    if (roll < 0.8 && known !== undefined) {
      keys = keys.filter((one) => one !== known);
      revoked = [...revoked, known.key];
      return [event("key.revoked", { key: known.key })];
    }
    // Now and then one that was revoked comes again under its id.
    const made = { key: pick(random, revoked) ?? uuid(random), user: user ?? "ann" };
    revoked = revoked.filter((key) => key !== made.key);
    keys = [...keys, made];
    const said = { name: text(random), secret: hash(random), expires: null };
    return [event("key.created", { ...made, ...said, scopes: ["read", "write"] })];
  };
}

/** So many commits of some accounts and of two tenants' workspaces, interleaved. Sequences 1, 2, 3 … */
export function randomPeople(seed: number, commits: number): Commit[] {
  const random = seeded(seed);
  const begin = (ref: ActorRef, next: Next) => ({ ref, next, revision: 0 });
  const anAccount = () => begin(accountRef(uuid(random)), account(random));
  const actors = [
    ...Array.from({ length: 4 }, anAccount),
    ...["acme", "beta"].map((tenant) => begin(workspaceRef(tenant), workspace(random))),
  ];
  const history: Commit[] = [];
  while (history.length < commits) {
    const at = Math.floor(random() * actors.length);
    const actor = actors[at];
    const events = actor?.next() ?? null;
    if (actor === undefined || events === null) {
      actors[at] = anAccount();
      continue;
    }
    const sequence = history.length + 1;
    history.push(place(actor.ref, events, actor.revision + 1, sequence, "", random));
    actor.revision += events.length;
  }
  return history;
}
