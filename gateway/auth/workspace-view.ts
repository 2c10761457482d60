/** What the gateway knows of a workspace: folded from its events, in place, since it may be large. */
import type { Commit } from "../../schemas/commit.ts";
import type { DomainEvent, EventData } from "../../schemas/events.ts";
import type { Role } from "../../schemas/permissions.ts";
import type { Webhook } from "../../schemas/webhooks.ts";

type Dated<T> = T & { readonly createdAt: string };

export interface WorkspaceView {
  opened: boolean;
  name: string | null;
  readonly members: Map<string, { readonly role: Role; readonly since: string }>;
  readonly invitations: Map<string, Dated<EventData<"invitation.created">>>;
  readonly keys: Map<string, Dated<EventData<"key.created">>>;
  /** Without their secrets. */
  readonly webhooks: Map<string, Webhook>;
}

export const noWorkspace = (): WorkspaceView => ({
  ...{ opened: false, name: null },
  ...{ members: new Map(), invitations: new Map(), keys: new Map(), webhooks: new Map() },
});

export function foldWorkspace(view: WorkspaceView, { events, at }: Commit): WorkspaceView {
  for (const event of events) see(view, event, at);
  return view;
}

function see(view: WorkspaceView, { type, data }: DomainEvent, at: string): void {
  const { members, invitations, keys, webhooks } = view;
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
    case "webhook.created": {
      const { webhook: id, url, types } = data;
      webhooks.set(id, { id, url, types, enabled: true, createdAt: at });
      return;
    }
    case "webhook.changed":
    case "webhook.disabled": {
      const had = webhooks.get(data.webhook);
      if (had === undefined) return;
      const { url, types, enabled } =
        type === "webhook.changed" ? data : { url: null, types: null, enabled: false };
      webhooks.set(had.id, {
        ...had,
        url: url ?? had.url,
        types: types ?? had.types,
        enabled: enabled ?? had.enabled,
      });
      return;
    }
    case "webhook.removed":
      webhooks.delete(data.webhook);
      return;
    default:
  }
}
