/**
 * The invitation that the address brings: `#/join/<token>`. Who is signed in by a session is asked
 * whether to join, since the link may have come from anybody; who is not signs in by the form.
 */
import type { Account } from "./account.ts";
import { askBy } from "./dialogs.ts";

/** The token of the invitation; null when there is none, or it was used. */
export const invitationHere = (): string | null =>
  /^#\/join\/([^/]+)$/.exec(location.hash)?.[1] ?? null;

/** The workspace that it leads to: `cin_<tenant>.…`. */
export const workspaceOf = (invitation: string): string =>
  /^cin_([a-z0-9-]+)\./.exec(invitation)?.[1] ?? "";

/** It is not asked about again. */
export function forgetInvitation(): void {
  if (invitationHere() !== null) history.replaceState(null, "", location.pathname);
}

/** Asks who is signed in whether to join, and begins the page anew there. Rejects with a ClientError. */
export async function offerToJoin(account: Account): Promise<void> {
  const invitation = invitationHere();
  if (invitation === null || !account.hasSession()) return;
  const joins = await askBy(
    `Join the workspace ${workspaceOf(invitation)}?`,
    "You go on there; your conversations so far stay in your own workspace, to which signing out and in leads back.",
    { yes: "Join", no: "Stay here" },
  );
  forgetInvitation();
  if (!joins) return;
  await account.join(invitation);
  location.reload();
}
