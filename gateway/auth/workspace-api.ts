/** The caller's workspace, its members and invitations: `/api/v1/workspace/…`. */
import { AppError } from "../../schemas/errors.ts";
import {
  ChangeMember,
  ChangeWorkspace,
  InvitationList,
  Invite,
  Member,
  MemberList,
  NewInvitation,
  Workspace,
} from "../../schemas/identity.ts";
import { accountRef, isAccountId, UserId, workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { PageQuery } from "../../schemas/parameters.ts";
import { commandIdAt } from "../http/asking.ts";
import type { Call, Shown } from "../http/call.ts";
import { onlyAt, shownTag } from "../http/conditions.ts";
import { type Operation, operation } from "../http/operation.ts";
import { accountIdOf, normalEmail } from "./account-id.ts";
import { ask, askAndEnd, gatewayBy, userBy } from "./ask.ts";
import { must } from "./identity.ts";
import { pageFor } from "./workspace-page.ts";
import { mint } from "./once.ts";
import { hashOfSecret, newInvitation } from "./secrets.ts";
import type { WorkspaceView } from "./workspace-view.ts";

const base = "/api/v1/workspace";

const workspaceOf = ({ service, who }: Call): Promise<WorkspaceView> =>
  service.people.workspace(who.tenant);

const shown = (value: object | null): Shown => ({ value, sequence: 0 });

async function workspace(call: Call): Promise<Shown> {
  const { tenant, role, user } = call.who;
  const { name, named, members } = await workspaceOf(call);
  const value = { tenant, name: name ?? tenant, role: members.get(user)?.role ?? role };
  return { ...shown(value), headers: { ETag: shownTag(named, value) } };
}

/** With the name and address of those who have an account. */
async function member(call: Call, user: string, view: WorkspaceView): Promise<object> {
  const found = view.members.get(user);
  if (found === undefined) throw new AppError("not_found");
  const account = isAccountId(user) ? await call.service.people.account(user) : null;
  const { name = "", email = "" } = account ?? {};
  return { user, name: name || null, email: email || null, ...found };
}

export const operations: readonly Operation[] = [
  operation({
    id: "getWorkspace",
    method: "GET",
    path: base,
    tag: "workspace",
    access: "workspace.read",
    limit: "read",
    summary: "The workspace of the token's tenant, and one's role in it.",
    answers: { 200: Workspace },
    run: workspace,
  }),
  operation({
    id: "patchWorkspace",
    method: "PATCH",
    path: base,
    tag: "workspace",
    access: "workspace.write",
    limit: "command",
    summary: "Names the workspace.",
    body: ChangeWorkspace,
    answers: { 200: Workspace },
    refuses: ["precondition_failed"],
    async run(call, exchange) {
      const { service, who, body } = call;
      const data = { ...body, ...onlyAt(exchange) };
      const id = commandIdAt(call, "configure");
      await ask(service, userBy(who.user), workspaceRef(who.tenant), "configure", data, id);
      return workspace(call);
    },
  }),
  operation({
    id: "listMembers",
    method: "GET",
    path: `${base}/members`,
    tag: "workspace",
    access: "members.read",
    limit: "read",
    summary: "Who belongs to the workspace, by user id.",
    query: PageQuery,
    answers: { 200: MemberList },
    refuses: ["bad_cursor", "stale"],
    async run(call) {
      const { identity } = call.service.ports.queries;
      const page = await pageFor(call);
      const { items: found, next } = await identity.members(page);
      const users = found.map(({ user }) => user).filter(isAccountId);
      const names = await identity.names(users, page.minSeq);
      const known = new Map(names.map((one) => [one.id, one]));
      const items = found.map(({ user, role, joinedAt: since }) => {
        const { name = "", email = "" } = known.get(user) ?? {};
        return { user, name: name || null, email: email || null, role, since };
      });
      return { value: { items, next }, sequence: page.minSeq };
    },
  }),
  operation({
    id: "changeMember",
    method: "PATCH",
    path: `${base}/members/{user}`,
    tag: "workspace",
    access: "members.write",
    limit: "command",
    summary: "Gives a member another role; it holds at once.",
    params: { user: UserId },
    body: ChangeMember,
    answers: { 200: Member },
    refuses: ["forbidden", "last_owner"],
    async run(call) {
      const { service, who, body } = call;
      const user = call.param("user");
      const view = await workspaceOf(call);
      const had = view.members.get(user)?.role;
      if (had === "owner" || body.role === "owner") must(who, "owners.write");
      const data = { user, role: body.role };
      await askAndEnd(service, userBy(who.user), workspaceRef(who.tenant), "change-member", data);
      return shown(await member(call, user, await workspaceOf(call)));
    },
  }),
  operation({
    id: "removeMember",
    method: "DELETE",
    path: `${base}/members/{user}`,
    tag: "workspace",
    // Everybody may leave.
    access: "account.write",
    limit: "command",
    summary: "Removes a member, with sessions and API keys; with one's own id: leaves.",
    params: { user: UserId },
    answers: { 204: null },
    refuses: ["forbidden", "last_owner"],
    async run(call) {
      const { service, who } = call;
      const user = call.param("user");
      const view = await workspaceOf(call);
      if (user !== who.user) must(who, "members.write");
      if (!view.members.has(user)) throw new AppError("not_found");
      if (user !== who.user && view.members.get(user)?.role === "owner") must(who, "owners.write");
      const { tenant } = who;
      await askAndEnd(service, userBy(who.user), workspaceRef(tenant), "remove-member", { user });
      if (isAccountId(user)) {
        await askAndEnd(service, gatewayBy, accountRef(user), "leave-tenant", { tenant });
      }
      return shown(null);
    },
  }),
  operation({
    id: "invite",
    method: "POST",
    path: `${base}/invitations`,
    tag: "workspace",
    access: "members.write",
    limit: "command",
    summary: "Makes an invitation, good for 7 days and once; its token is shown this once.",
    body: Invite,
    answers: { 201: NewInvitation },
    refuses: ["too_many_invitations"],
    async run(call) {
      const { service, who, body } = call;
      const { accountsKey, clock } = service.ports;
      const role = body.role ?? "member";
      if (role === "owner") must(who, "owners.write");
      const email = body.email === undefined ? null : normalEmail(body.email);
      if (email === null && body.email !== undefined) {
        throw new AppError("bad_request", "email is no e-mail address");
      }
      const { id, command, secret } = await mint(call, "invitation");
      const token = newInvitation(who.tenant, id, secret);
      const expires = new Date(clock.now() + limits.invitation_ms).toISOString();
      const data = {
        ...{ invitation: id, token: hashOfSecret(token), role, email, expires },
        user: email === null ? null : accountIdOf(accountsKey, email),
      };
      await ask(service, userBy(who.user), workspaceRef(who.tenant), "invite", data, command);
      // Of one that was asked for twice, as long as the first time.
      const made = (await workspaceOf(call)).invitations.get(id);
      return shown({ id, role, email, expiresAt: made?.expires ?? expires, token });
    },
  }),
  operation({
    id: "listInvitations",
    method: "GET",
    path: `${base}/invitations`,
    tag: "workspace",
    access: "members.write",
    limit: "read",
    summary: "The invitations that are open, without their tokens.",
    query: PageQuery,
    answers: { 200: InvitationList },
    refuses: ["bad_cursor", "stale"],
    async run(call) {
      const { clock, queries } = call.service.ports;
      const now = new Date(clock.now()).toISOString();
      const page = await pageFor(call);
      const { items: found, next } = await queries.identity.invitations(page);
      const items = found
        .filter(({ expiresAt }) => expiresAt > now)
        .map(({ id, role, email, createdAt, expiresAt }) => ({
          ...{ id, role, email: email === "" ? null : email, createdAt, expiresAt },
        }));
      return { value: { items, next }, sequence: page.minSeq };
    },
  }),
  operation({
    id: "revokeInvitation",
    method: "DELETE",
    path: `${base}/invitations/{id}`,
    tag: "workspace",
    access: "members.write",
    limit: "command",
    summary: "Takes an invitation back.",
    answers: { 204: null },
    async run(call) {
      const { service, who } = call;
      const invitation = call.param("id");
      if (!(await workspaceOf(call)).invitations.has(invitation)) throw new AppError("not_found");
      const ref = workspaceRef(who.tenant);
      await ask(service, userBy(who.user), ref, "revoke-invitation", { invitation });
      return shown(null);
    },
  }),
];
