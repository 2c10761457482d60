/** What the gateway knows of a workspace: folded from its events, in place, since it may be large. */
import type { Commit } from "../../schemas/commit.ts";
import type { DomainEvent, EventData } from "../../schemas/events.ts";
import type { Role } from "../../schemas/permissions.ts";
import type { Webhook } from "../../schemas/webhooks.ts";

type Dated<T> = T & { readonly createdAt: string };

export interface WorkspaceView {
  opened: boolean;
  name: string | null;
  /** The number of the last event that named it; 0 while none has. */
  named: number;
  readonly members: Map<string, { readonly role: Role; readonly since: string }>;
  readonly invitations: Map<string, Dated<EventData<"invitation.created">>>;
  readonly keys: Map<string, Dated<EventData<"key.created">>>;
  /** Without their secrets. */
  readonly webhooks: Map<string, Webhook>;
  /** The number of the last event that changed each. */
  readonly webhookRevisions: Map<string, number>;
}

export const noWorkspace = (): WorkspaceView => ({
  ...{ opened: false, name: null, named: 0 },
  ...{ members: new Map(), invitations: new Map(), keys: new Map() },
  ...{ webhooks: new Map(), webhookRevisions: new Map() },
});

export function foldWorkspace(view: WorkspaceView, commit: Commit): WorkspaceView {
  const { events, at, revision } = commit;
  for (const [index, event] of events.entries()) see(view, event, at, revision + index);
  return view;
}

function see(view: WorkspaceView, { type, data }: DomainEvent, at: string, revision: number): void {
  const { members, invitations, keys, webhooks } = view;
  switch (type) {
    case "workspace.opened":
      view.opened = true;
      view.name = data.name || null;
      view.named = revision;
      return;
    case "workspace.configured":
      view.name = data.name || null;
      view.named = revision;
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
      view.webhookRevisions.set(id, revision);
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
      view.webhookRevisions.set(had.id, revision);
      return;
    }
    case "webhook.removed":
      webhooks.delete(data.webhook);
      view.webhookRevisions.delete(data.webhook);
      return;
    default:
  }
}
