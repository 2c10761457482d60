/** What the gateway knows of a workspace: folded from its events, in place, since it may be large. */
import type { Commit } from "../../schemas/commit.ts";
import type { DomainEvent, EventData } from "../../schemas/events.ts";
import type { Role } from "../../schemas/permissions.ts";

type Dated<T> = T & { readonly createdAt: string };

export interface WorkspaceView {
  opened: boolean;
  name: string | null;
  readonly members: Map<string, { readonly role: Role; readonly since: string }>;
  readonly invitations: Map<string, Dated<EventData<"invitation.created">>>;
  readonly keys: Map<string, Dated<EventData<"key.created">>>;
}

export const noWorkspace = (): WorkspaceView => ({
  ...{ opened: false, name: null },
  ...{ members: new Map(), invitations: new Map(), keys: new Map() },
});

export function foldWorkspace(view: WorkspaceView, { events, at }: Commit): WorkspaceView {
  for (const event of events) see(view, event, at);
  return view;
}

function see(view: WorkspaceView, { type, data }: DomainEvent, at: string): void {
  const { members, invitations, keys } = view;
  switch (type) {
    case "workspace.opened":
      view.opened = true;
      view.name = data.name || null;
      return;
    case "workspace.configured":
      view.name = data.name || null;
      return;
    case "member.added":
      members.set(data.user, { role: data.role, since: at });
      return;
    case "member.changed":
      members.set(data.user, { role: data.role, since: members.get(data.user)?.since ?? at });
      return;
    case "member.removed":
      members.delete(data.user);
      return;
    case "invitation.created":
      invitations.set(data.invitation, { ...data, createdAt: at });
      return;
    case "invitation.accepted":
    case "invitation.revoked":
      invitations.delete(data.invitation);
      return;
    case "key.created":
      keys.set(data.key, { ...data, createdAt: at });
      return;
    case "key.revoked":
      keys.delete(data.key);
      return;
    default:
  }
}
