/**
 * The workspaces: name, members, invitations and API keys, a table each. Who is a member no longer,
 * an invitation that is void and a key that was revoked keep their rows, so that it can be told what
 * they were; the address of an invitation that is void does not stay. No hash of a secret is in them.
 */
import type { Projector, Row, Sheet, Table } from "../projector.ts";

export interface WorkspaceRow extends Row {
  readonly tenant: string;
  readonly workspace: string;
  readonly name: string;
  /** When somebody opened it; null while nobody did. */
  readonly opened_at: string | null;
  readonly updated_at: string;
}

const workspaceSheet: Sheet<WorkspaceRow> = {
  table: {
    name: "workspaces",
    columns: {
      tenant: 'text COLLATE "C"',
      workspace: "uuid",
      name: "text",
      opened_at: "timestamptz(3)",
      updated_at: "timestamptz(3)",
    },
    nullable: ["opened_at"],
    key: ["tenant", "workspace"],
    indexes: [],
    hidden: [],
  },
  part: null,
  wants: (event) =>
    event.type === "workspace.opened" || event.type === "workspace.configured" ? null : undefined,
  fold(rows, event, { ref, at }) {
    if (event.type !== "workspace.opened" && event.type !== "workspace.configured") return;
    const opened_at = event.type === "workspace.opened" ? at : (rows.get(null)?.opened_at ?? null);
    const { name } = event.data;
    rows.put(null, { tenant: ref.tenant, workspace: ref.id, name, opened_at, updated_at: at });
  },
};

export interface MemberRow extends Row {
  readonly tenant: string;
  readonly workspace: string;
  readonly user_id: string;
  /** Null: is a member no longer. */
  readonly role: string | null;
  readonly invitation: string | null;
  readonly joined_at: string;
  readonly changed_at: string;
}

const memberSheet: Sheet<MemberRow> = {
  table: {
    name: "members",
    columns: {
      tenant: 'text COLLATE "C"',
      workspace: "uuid",
      user_id: 'text COLLATE "C"',
      role: "text",
      invitation: "uuid",
      joined_at: "timestamptz(3)",
      changed_at: "timestamptz(3)",
    },
    nullable: ["role", "invitation"],
    key: ["tenant", "workspace", "user_id"],
    indexes: [],
    hidden: [],
  },
  part: "user_id",
  wants: (event) =>
    event.type === "member.added" ||
    event.type === "member.changed" ||
    event.type === "member.removed"
      ? event.data.user
      : undefined,
  fold(rows, event, { ref, at }) {
    if (event.type === "member.added") {
      const { user, role, invitation } = event.data;
      rows.put(user, {
        ...{ tenant: ref.tenant, workspace: ref.id, user_id: user, role, invitation },
        ...{ joined_at: at, changed_at: at },
      });
      return;
    }
    if (event.type !== "member.changed" && event.type !== "member.removed") return;
    const before = rows.get(event.data.user);
    if (before === undefined) throw new Error("the member was never added");
    const role = event.type === "member.changed" ? event.data.role : null;
    rows.put(event.data.user, { ...before, role, changed_at: at });
  },
};

export interface InvitationRow extends Row {
  readonly tenant: string;
  readonly workspace: string;
  readonly invitation: string;
  readonly status: "open" | "revoked" | "accepted";
  readonly role: string;
  readonly email: string | null;
  /** Who alone may accept it. */
  readonly for_user: string | null;
  readonly created_by: string;
  readonly created_at: string;
  readonly expires_at: string;
  readonly accepted_by: string | null;
}

const invitationSheet: Sheet<InvitationRow> = {
  table: {
    name: "invitations",
    columns: {
      tenant: 'text COLLATE "C"',
      workspace: "uuid",
      invitation: "uuid",
      status: "text",
      role: "text",
      email: "text",
      for_user: "text",
      created_by: "text",
      created_at: "timestamptz(3)",
      expires_at: "timestamptz(3)",
      accepted_by: "text",
    },
    nullable: ["email", "for_user", "accepted_by"],
    key: ["tenant", "workspace", "invitation"],
    indexes: ["(tenant, workspace, invitation) WHERE status = 'open'"],
    hidden: [],
  },
  part: "invitation",
  // Also for a new one: one that was revoked may be made again under its id.
  wants: (event) =>
    event.type === "invitation.created" ||
    event.type === "invitation.revoked" ||
    event.type === "invitation.accepted"
      ? event.data.invitation
      : undefined,
  fold(rows, event, { ref, at, commit }) {
    if (event.type === "invitation.created") {
      const { invitation, role, email, user, expires } = event.data;
      rows.put(invitation, {
        ...{ tenant: ref.tenant, workspace: ref.id, invitation, status: "open", role },
        ...{ email, for_user: user, created_by: commit.by.id, created_at: at },
        ...{ expires_at: expires, accepted_by: null },
      });
      return;
    }
    if (event.type !== "invitation.revoked" && event.type !== "invitation.accepted") return;
    const before = rows.get(event.data.invitation);
    if (before === undefined) throw new Error("the invitation was never made");
    const over =
      event.type === "invitation.accepted"
        ? ({ status: "accepted", accepted_by: event.data.user } as const)
        : ({ status: "revoked" } as const);
    rows.put(event.data.invitation, { ...before, ...over, email: null });
  },
};

export interface ApiKeyRow extends Row {
  readonly tenant: string;
  readonly workspace: string;
  readonly api_key: string;
  readonly user_id: string;
  readonly name: string;
  /** Separated by spaces. */
  readonly scopes: string;
  readonly created_at: string;
  readonly expires_at: string | null;
  readonly revoked_at: string | null;
}

const keyTable: Table = {
  name: "api_keys",
  columns: {
    tenant: 'text COLLATE "C"',
    workspace: "uuid",
    api_key: "uuid",
    user_id: 'text COLLATE "C"',
    name: "text",
    scopes: "text",
    created_at: "timestamptz(3)",
    expires_at: "timestamptz(3)",
    revoked_at: "timestamptz(3)",
  },
  nullable: ["expires_at", "revoked_at"],
  key: ["tenant", "workspace", "api_key"],
  indexes: ["(tenant, workspace, api_key) WHERE revoked_at IS NULL"],
  hidden: [],
};

const keySheet: Sheet<ApiKeyRow> = {
  table: keyTable,
  part: "api_key",
  wants: (event) =>
    event.type === "key.created" || event.type === "key.revoked" ? event.data.key : undefined,
  fold(rows, event, { ref, at }) {
    if (event.type === "key.created") {
      const { key, user, name, scopes, expires } = event.data;
      rows.put(key, {
        ...{ tenant: ref.tenant, workspace: ref.id, api_key: key, user_id: user, name },
        ...{ scopes: scopes.join(" "), created_at: at, expires_at: expires, revoked_at: null },
      });
    }
    if (event.type !== "key.revoked") return;
    const before = rows.get(event.data.key);
    if (before === undefined) throw new Error("the key was never made");
    rows.put(event.data.key, { ...before, revoked_at: at });
  },
};

export const workspaces: Projector = {
  name: "workspaces",
  version: 1,
  kinds: ["workspace"],
  sheets: [workspaceSheet, memberSheet, invitationSheet, keySheet],
};
