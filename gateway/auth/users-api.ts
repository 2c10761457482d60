/** One's own account: `/api/v1/users/…`. Users without an account have a name and nothing to change. */
import { AppError } from "../../schemas/errors.ts";
import {
  ChangePassword,
  ChangeProfile,
  Profile,
  SessionList,
  Settings,
} from "../../schemas/identity.ts";
import { accountRef, isAccountId } from "../../schemas/ids.ts";
import type { CommandData } from "../../schemas/commands.ts";
import { permissionNames } from "../../schemas/permissions.ts";
import { commandIdAt } from "../http/asking.ts";
import type { Call, Shown } from "../http/call.ts";
import { onlyAt, revisionTag, shownTag } from "../http/conditions.ts";
import { type Operation, operation } from "../http/operation.ts";
import { admitAccount } from "../limits/admit.ts";
import { type AccountView, noAccount } from "./account-view.ts";
import { ask, askAndEnd, userBy } from "./ask.ts";
import { permits } from "./identity.ts";
import { closeSession } from "./sessions.ts";

const base = "/api/v1/users";

const accountOf = async ({ service, who }: Call): Promise<AccountView | null> =>
  isAccountId(who.user) ? service.people.account(who.user) : null;

/** Throws `forbidden`. */
async function mine(call: Call): Promise<AccountView> {
  const account = await accountOf(call);
  if (account?.active !== true) throw new AppError("forbidden", "This user has no account.");
  return account;
}

async function profile(call: Call): Promise<Shown> {
  const { user, tenant, role } = call.who;
  const account = await accountOf(call);
  const { email = null, name = user, tenants = [tenant] } = account ?? {};
  const may = permissionNames.filter((permission) => permits(call.who, permission));
  const value = { id: user, email, name, tenant, role, tenants, permissions: may };
  return { value, sequence: 0, headers: { ETag: shownTag(account?.profileRevision ?? 0, value) } };
}

async function settings(call: Call): Promise<Shown> {
  const { settings: value, settingsRevision } = (await accountOf(call)) ?? noAccount;
  return { value, sequence: 0, headers: { ETag: revisionTag(settingsRevision) } };
}

/** The same `Idempotency-Key` is the same command: a repeat is no second change, also with `If-Match`. */
async function change<N extends "update-profile" | "update-settings">(
  call: Call,
  name: N,
  data: CommandData<N>,
): Promise<void> {
  const { service, who } = call;
  const id = commandIdAt(call, name);
  await ask(service, userBy(who.user), accountRef(who.user), name, data, id);
}

export const operations: readonly Operation[] = [
  operation({
    id: "getProfile",
    method: "GET",
    path: `${base}/profile`,
    tag: "users",
    access: "account.read",
    limit: "read",
    summary: "Who one is here.",
    answers: { 200: Profile },
    run: profile,
  }),
  operation({
    id: "putProfile",
    method: "PUT",
    path: `${base}/profile`,
    tag: "users",
    access: "account.write",
    limit: "command",
    summary: "Changes one's name.",
    body: ChangeProfile,
    answers: { 200: Profile },
    refuses: ["precondition_failed"],
    async run(call, exchange) {
      await mine(call);
      await change(call, "update-profile", { ...call.body, ...onlyAt(exchange) });
      return profile(call);
    },
  }),
  operation({
    id: "getSettings",
    method: "GET",
    path: `${base}/settings`,
    tag: "users",
    access: "account.read",
    limit: "read",
    summary: "One's own settings: whatever object was put there.",
    answers: { 200: Settings },
    run: settings,
  }),
  operation({
    id: "putSettings",
    method: "PUT",
    path: `${base}/settings`,
    tag: "users",
    access: "account.write",
    limit: "command",
    summary: "Replaces one's own settings, a JSON object of at most 16 KB.",
    body: Settings,
    answers: { 200: Settings },
    refuses: ["precondition_failed"],
    async run(call, exchange) {
      await mine(call);
      await change(call, "update-settings", { settings: call.body, ...onlyAt(exchange) });
      return settings(call);
    },
  }),
  operation({
    id: "changePassword",
    method: "POST",
    path: `${base}/password`,
    tag: "users",
    access: "account.write",
    limit: "sign-in",
    summary: "Sets a new password and ends every other session.",
    body: ChangePassword,
    answers: { 204: null },
    refuses: ["bad_credentials", "overloaded"],
    async run(call, exchange) {
      const { service, who, body } = call;
      // Neither a key nor a token without a session may take an account over.
      if (who.session === null) throw new AppError("forbidden", "Sign in to do this.");
      const { password: known } = await mine(call);
      // Whoever has stolen a token has no more guesses than at the door.
      await admitAccount(exchange, service, who.user);
      const genuine = await service.passwords.verify(body.currentPassword, known || null);
      if (!genuine) throw new AppError("bad_credentials");
      const password = await service.passwords.hash(body.newPassword);
      const data = { password, keep: who.session };
      await askAndEnd(service, userBy(who.user), accountRef(who.user), "change-password", data);
      return { value: null, sequence: 0 };
    },
  }),
  operation({
    id: "listSessions",
    method: "GET",
    path: `${base}/sessions`,
    tag: "users",
    access: "account.read",
    limit: "read",
    summary: "Where one is signed in, the newest first.",
    answers: { 200: SessionList },
    async run(call) {
      const { who, service } = call;
      const { sessions } = await mine(call);
      const now = new Date(service.ports.clock.now()).toISOString();
      const items = [...sessions]
        .filter(([, { expires }]) => expires > now)
        .map(([id, { tenant, device, openedAt, usedAt, expires }]) => ({
          ...{ id, tenant, device, createdAt: openedAt, usedAt, expiresAt: expires },
          current: id === who.session,
        }))
        .toReversed();
      return { value: { items, next: null }, sequence: 0 };
    },
  }),
  operation({
    id: "endSession",
    method: "DELETE",
    path: `${base}/sessions/{id}`,
    tag: "users",
    access: "account.write",
    limit: "command",
    summary: "Ends one of one's sessions at once.",
    answers: { 204: null },
    async run(call) {
      const { sessions } = await mine(call);
      const session = call.param("id");
      if (!sessions.has(session)) throw new AppError("not_found");
      await closeSession(call.service, call.who.user, session);
      return { value: null, sequence: 0 };
    },
  }),
];
