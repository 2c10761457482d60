/**
 * Who may do what, as one table: role → permissions, scope of an API key → permissions. Whoever asks
 * with a key may do what both its user's role and its scopes allow. What belongs to one person (a
 * conversation, a key of one's own) is decided by its owner's actor beside this.
 * `docs/PERMISSIONS.md` shows the table.
 */
import Type, { type Static } from "typebox";

export const Role = Type.Union(
  [Type.Literal("viewer"), Type.Literal("member"), Type.Literal("admin"), Type.Literal("owner")],
  { description: "What a member may do: docs/PERMISSIONS.md has the table." },
);
export type Role = Static<typeof Role>;
/** From the least to the most. */
export const roles = ["viewer", "member", "admin", "owner"] as const satisfies readonly Role[];

export const Scope = Type.Union([
  Type.Literal("read"),
  Type.Literal("write"),
  Type.Literal("manage"),
]);
export type Scope = Static<typeof Scope>;

/** What an API key is for, each scope once. */
export const Scopes = Type.Array(Scope, { minItems: 1, maxItems: 3, uniqueItems: true });

/**
 * Permission → the least role that has it, the scope that a key needs for it, and what it is for. A
 * scope of null: only a person who is signed in may do it, since a key must not outlive or widen itself.
 */
export const permissions = {
  "account.read": row("viewer", "read", "See one's own profile, settings and sessions."),
  "account.write": row("viewer", null, "Change them, end sessions, leave the tenant."),
  "conversations.read": row("viewer", "read", "See one's own conversations and those shared."),
  "conversations.write": row("member", "write", "Begin conversations, send, edit, cancel, share."),
  "conversations.rate": row("viewer", "write", "Rate the answers that one may read."),
  "conversations.manage": row("admin", "manage", "Act on conversations that integrations began."),
  "models.read": row("viewer", "read", "See which models there are."),
  "models.use": row("member", "write", "Have a model compute embeddings."),
  "members.read": row("member", "read", "See who belongs to the tenant, and with which role."),
  "members.write": row("admin", "manage", "Invite, change roles, remove."),
  "owners.write": row("owner", null, "Make owners, and change or remove one."),
  "keys.write": row("member", null, "Make API keys of one's own, see and revoke them."),
  "keys.manage": row("admin", null, "See and revoke everybody's API keys."),
  "workspace.read": row("viewer", "read", "See the workspace's name and settings."),
  "workspace.write": row("admin", "manage", "Change them."),
  "webhooks.write": row("owner", "manage", "Make, see, change and remove webhooks."),
  "audit.read": row("admin", "manage", "Read who did what in the tenant."),
  "usage.read": row("member", "read", "See what was used and what it cost."),
} as const satisfies Record<string, Row>;

export type Permission = keyof typeof permissions;

// The keys of the table above, which `Object.keys` forgets.
export const permissionNames = Object.keys(permissions) as readonly Permission[];

interface Row {
  readonly role: Role;
  readonly scope: Scope | null;
  readonly what: string;
}
function row(role: Role, scope: Scope | null, what: string): Row {
  return { role, scope, what };
}

/** Whether `role` is at least `least`. */
export const isAtLeast = (role: Role, least: Role): boolean =>
  roles.indexOf(role) >= roles.indexOf(least);

/** Whether who has this role, and asks with a key of these scopes (null: without a key), may do it. */
export function allows(
  role: Role,
  keyScopes: readonly Scope[] | null,
  permission: Permission,
): boolean {
  const { role: least, scope } = permissions[permission];
  if (!isAtLeast(role, least)) return false;
  return keyScopes === null || (scope !== null && keyScopes.includes(scope));
}

/**
 * Whether who has `role` may give `wanted` to somebody who has `had` (null: is no member yet), or,
 * with `wanted` null, remove them. Only owners make owners, and only they change or remove one.
 */
export function mayGrant(role: Role, had: Role | null, wanted: Role | null): boolean {
  const owners = had === "owner" || wanted === "owner";
  return allows(role, null, owners ? "owners.write" : "members.write");
}
