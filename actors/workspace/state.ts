/**
 * A workspace's state: how far the tenant's history is anchored, and who belongs to the tenant, as far
 * as decisions need it. `evolve` is the only thing that makes a state, and it is total: the machine
 * decides whether an event may come (I4).
 */
import { zero_hash } from "../../schemas/commit.ts";
import type { EventData, WorkspaceEventType } from "../../schemas/events.ts";
import type { ActorRef, By } from "../../schemas/ids.ts";
import type { Role } from "../../schemas/permissions.ts";
import type { Folded } from "../still-kind.ts";
import { empty_table, entriesOf, get, put, type Table, without } from "../table.ts";

/** An invitation that can be accepted. */
export interface Invitation {
  readonly token: string;
  readonly role: Role;
  readonly user: string | null;
  readonly expires: string;
  /** Who made it. */
  readonly by: By;
}

/** An API key that was not revoked. */
export interface Key {
  readonly user: string;
  readonly secret: string;
}

export interface Webhook {
  readonly enabled: boolean;
  /** The number of the last event that changed it. */
  readonly revision: number;
}

export interface WorkspaceState {
  readonly ref: ActorRef;
  /** The number of the last event. */
  readonly revision: number;
  /** The root of the last anchor; 64 zeros while there is none. */
  readonly root: string;
  /** The last EVENTS sequence that an anchor covers; 0 while there is none. */
  readonly sequence: number;
  /** The number of the last event that named it; 0 while none has. */
  readonly named: number;
  /** Somebody has opened it, and nobody can again. */
  readonly opened: boolean;
  readonly members: Table<Role>;
  /** How many of them are owners. */
  readonly owners: number;
  readonly invitations: Table<Invitation>;
  readonly keys: Table<Key>;
  readonly webhooks: Table<Webhook>;
}

export type WorkspaceEvent = {
  [T in WorkspaceEventType]: { readonly type: T; readonly data: EventData<T> } & Folded;
}[WorkspaceEventType];

export const initialState = (ref: ActorRef): WorkspaceState => ({
  ...{ ref, revision: 0, root: zero_hash, sequence: 0, named: 0, opened: false, owners: 0 },
  ...{ members: empty_table, invitations: empty_table, keys: empty_table, webhooks: empty_table },
});

/** The state after an event that the machine has allowed. */
export function evolve(before: WorkspaceState, event: WorkspaceEvent): WorkspaceState {
  const state = { ...before, revision: before.revision + 1 };
  const { revision } = state;
  switch (event.type) {
    case "chain.anchored": {
      const { root, sequence } = event.data;
      return { ...state, root, sequence };
    }
    case "workspace.opened":
      return { ...state, named: revision, opened: true };
    case "workspace.configured":
      return { ...state, named: revision };
    case "member.added":
    case "member.changed":
      return withMember(state, event.data.user, event.data.role);
    case "member.removed":
      return withMember(state, event.data.user, null);
    case "invitation.created": {
      const { invitation, token, role, user, expires } = event.data;
      const created = { token, role, user, expires, by: event.by };
      return { ...state, invitations: put(state.invitations, invitation, created) };
    }
    case "invitation.revoked":
    case "invitation.accepted":
      return { ...state, invitations: without(state.invitations, event.data.invitation) };
    case "key.created": {
      const { key, user, secret } = event.data;
      return { ...state, keys: put(state.keys, key, { user, secret }) };
    }
    case "key.revoked":
      return { ...state, keys: without(state.keys, event.data.key) };
    case "webhook.created":
      return {
        ...state,
        webhooks: put(state.webhooks, event.data.webhook, { enabled: true, revision }),
      };
    case "webhook.changed": {
      const { webhook } = event.data;
      const enabled = event.data.enabled ?? get(state.webhooks, webhook)?.enabled ?? true;
      return { ...state, webhooks: put(state.webhooks, webhook, { enabled, revision }) };
    }
    case "webhook.disabled":
      return {
        ...state,
        webhooks: put(state.webhooks, event.data.webhook, { enabled: false, revision }),
      };
    case "webhook.removed":
      return { ...state, webhooks: without(state.webhooks, event.data.webhook) };
    case "webhook.tested":
    case "webhook.replayed":
    case "log.exported":
      return state;
  }
}

function withMember(state: WorkspaceState, user: string, role: Role | null): WorkspaceState {
  const was = get(state.members, user) === "owner" ? 1 : 0;
  const owners = state.owners - was + (role === "owner" ? 1 : 0);
  const members = role === null ? without(state.members, user) : put(state.members, user, role);
  return { ...state, owners, members };
}

/** Whether a workspace that has members has an owner when this member has `role`, or null: is gone. */
export function keepsOwner(state: WorkspaceState, user: string, role: Role | null): boolean {
  const { owners, members } = withMember(state, user, role);
  return state.owners === 0 || owners > 0 || members.size === 0;
}

/** The ids of a user's keys; never more than `keys_per_user_max`. */
export function keysOf({ keys }: WorkspaceState, user: string): string[] {
  const own: string[] = [];
  for (const [key, of] of entriesOf(keys)) if (of.user === user) own.push(key);
  return own;
}

/** The ids of the webhooks that are told what happens; never more than `webhooks_per_workspace_max`. */
export function enabledOf({ webhooks }: WorkspaceState): string[] {
  const found: string[] = [];
  for (const [webhook, { enabled }] of entriesOf(webhooks)) if (enabled) found.push(webhook);
  return found;
}
