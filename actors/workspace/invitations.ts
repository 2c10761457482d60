/** Invitations to a workspace: made and taken back; how one is accepted stands in `members.ts`. */
import type { CommandData } from "../../schemas/commands.ts";
import { event } from "../../schemas/events.ts";
import { limits } from "../../schemas/limits.ts";
import { allows, mayGrant } from "../../schemas/permissions.ts";
import type { Answer } from "../kind.ts";
import { entriesOf, get } from "../table.ts";
import { already_so, type Caller, decided, isOver, refused } from "./decision.ts";
import type { WorkspaceState } from "./state.ts";

export function invite(
  { invitations }: WorkspaceState,
  { role, at }: Caller,
  data: CommandData<"invite">,
): Answer {
  if (!mayGrant(role, null, data.role)) return refused("forbidden");
  const same = get(invitations, data.invitation);
  if (same !== undefined) return same.token === data.token ? already_so : refused("id_taken");
  if (isOver(data.expires, at)) return refused("bad_request", "It would be too old already.");
  const old: string[] = [];
  if (invitations.size >= limits.invitations_per_workspace_max) {
    for (const [invitation, { expires }] of entriesOf(invitations)) {
      if (isOver(expires, at)) old.push(invitation);
      if (old.length === limits.invitations_cleared_max) break;
    }
    if (old.length === 0) return refused("too_many_invitations");
  }
  return decided(
    ...old.map((invitation) => event("invitation.revoked", { invitation })),
    event("invitation.created", data),
  );
}

export function revokeInvitation(
  { invitations }: WorkspaceState,
  { role }: Caller,
  { invitation }: CommandData<"revoke-invitation">,
): Answer {
  if (!allows(role, null, "members.write")) return refused("forbidden");
  if (get(invitations, invitation) === undefined) return already_so;
  return decided(event("invitation.revoked", { invitation }));
}
