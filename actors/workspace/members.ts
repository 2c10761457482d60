/** Who belongs to a workspace: opening it, joining, other roles, leaving. */
import type { CommandData } from "../../schemas/commands.ts";
import { event } from "../../schemas/events.ts";
import type { By } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { allows, mayGrant } from "../../schemas/permissions.ts";
import type { Answer } from "../kind.ts";
import { get } from "../table.ts";
import { already_so, type Caller, decided, isOver, refused, roleOf } from "./decision.ts";
import { enabledOf, type Invitation, keepsOwner, keysOf, type WorkspaceState } from "./state.ts";

/** The first who asks owns it; nobody else ever does by asking, also when the owner has left. */
export function openBy(state: WorkspaceState, by: By, { name }: CommandData<"open">): Answer {
  if (by.type !== "user") return refused("forbidden");
  const user = by.id;
  if (get(state.members, user) === "owner") return already_so;
  if (state.opened || state.members.size > 0) return refused("workspace_taken");
  return decided(
    event("workspace.opened", { name }),
    event("member.added", { user, role: "owner", invitation: null }),
  );
}

export function joinBy(
  state: WorkspaceState,
  by: By,
  { invitation, token }: CommandData<"join">,
  at: string,
): Answer {
  if (by.type !== "user") return refused("forbidden");
  const user = by.id;
  const { members, invitations, opened, owners } = state;
  if (get(members, user) !== undefined) return refused("already_member");
  const found = get(invitations, invitation);
  const good =
    found?.token === token &&
    !isOver(found.expires, at) &&
    (found.user === null || found.user === user) &&
    isMeant(state, found) &&
    // Everybody has left: whom the operator lets in first must be able to let others in.
    (!opened || owners > 0 || found.role === "owner");
  if (!good) return refused("invitation_invalid");
  if (members.size >= limits.members_per_workspace_max) return refused("workspace_full");
  return decided(
    event("invitation.accepted", { invitation, user }),
    event("member.added", { user, role: found.role, invitation }),
  );
}

/**
 * Whether whoever made an invitation may still make it: who was removed, or may do less now, must not
 * come back, or let others in, by one that was kept. So none of its members' is good once everybody has
 * left, and only who operates the installation lets anybody in again.
 */
function isMeant(state: WorkspaceState, { by, role }: Invitation): boolean {
  const maker = roleOf(state, by);
  return maker !== null && mayGrant(maker, null, role);
}

export function configure(
  _: WorkspaceState,
  { role }: Caller,
  { name }: CommandData<"configure">,
): Answer {
  if (!allows(role, null, "workspace.write")) return refused("forbidden");
  return decided(event("workspace.configured", { name }));
}

export function changeMember(
  state: WorkspaceState,
  caller: Caller,
  { user, role }: CommandData<"change-member">,
): Answer {
  const had = get(state.members, user);
  if (!allows(caller.role, null, "members.write")) return refused("forbidden");
  if (had === undefined) return refused("not_found");
  if (!mayGrant(caller.role, had, role)) return refused("forbidden");
  if (had === role) return already_so;
  if (!keepsOwner(state, user, role)) return refused("last_owner");
  return decided(event("member.changed", { user, role }));
}

export function removeMember(
  state: WorkspaceState,
  caller: Caller,
  { user }: CommandData<"remove-member">,
): Answer {
  const had = get(state.members, user) ?? null;
  // Everybody may leave.
  const may = user === caller.user || mayGrant(caller.role, had, null);
  if (!may) return refused("forbidden");
  if (had === null) return already_so;
  if (!keepsOwner(state, user, null)) return refused("last_owner");
  // What is told to a workspace's servers is told in the name of its members: with the last of them it ends.
  const last = state.members.size === 1;
  return decided(
    ...keysOf(state, user).map((key) => event("key.revoked", { key })),
    ...(last ? enabledOf(state).map((webhook) => event("webhook.disabled", { webhook })) : []),
    event("member.removed", { user }),
  );
}
