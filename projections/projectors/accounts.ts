/**
 * Accounts, one row each, and the sessions in which they are signed in. Nothing here can be signed in
 * with: a password and a refresh token's hash stay in the log. A deleted account keeps its row, blank; a session that is over keeps its row without the device. So the rows of an account whose
 * content was erased are built anew as they were (I8).
 */
import type { DomainEvent } from "../../schemas/events.ts";
import type { Place, Projector, Row, Sheet, Table } from "../projector.ts";

export interface AccountRow extends Row {
  readonly tenant: string;
  readonly id: string;
  readonly status: "active" | "deleted";
  /** The tenant that it shall belong to. */
  readonly home: string;
  readonly email: string;
  readonly name: string;
  /** JSON. */
  readonly settings: string;
  /** The tenants that it has joined, separated by spaces. */
  readonly tenants: string;
  readonly revision: number;
  /** The EVENTS sequence of its last commit. */
  readonly sequence: number;
  readonly created_at: string;
  readonly updated_at: string;
}

const table: Table = {
  name: "accounts",
  columns: {
    tenant: 'text COLLATE "C"',
    id: "uuid",
    status: "text",
    home: "text",
    email: "text",
    name: "text",
    settings: "text",
    tenants: "text",
    revision: "integer",
    sequence: "bigint",
    created_at: "timestamptz(3)",
    updated_at: "timestamptz(3)",
  },
  nullable: [],
  key: ["tenant", "id"],
  indexes: [],
  hidden: [],
};

const sheet: Sheet<AccountRow> = {
  table,
  part: null,
  wants: () => null,
  fold(rows, event, place) {
    const before = rows.get(null);
    const { ref, revision, at, commit } = place;
    if (event.type === "account.registered") {
      if (before !== undefined) throw new Error("the account begins a second time");
      const { home, email, name } = event.data;
      rows.put(null, {
        ...{ tenant: ref.tenant, id: ref.id, status: "active", home, email, name },
        ...{ settings: "{}", tenants: "", revision, sequence: commit.sequence },
        ...{ created_at: at, updated_at: at },
      });
      return;
    }
    if (before === undefined) throw new Error("the account has no beginning");
    if (before.revision + 1 !== revision) {
      throw new Error(`event ${revision} does not follow event ${before.revision}`);
    }
    const changed = evolve(before, event);
    rows.put(null, { ...changed, revision, sequence: commit.sequence, updated_at: at });
  },
};

/** Of text without spaces, as slugs are. */
const words = (text: string): string[] => text.split(" ").filter((word) => word !== "");

function evolve(row: AccountRow, event: DomainEvent): AccountRow {
  switch (event.type) {
    case "account.joined":
      return { ...row, tenants: [...words(row.tenants), event.data.tenant].join(" ") };
    case "account.left": {
      const left = words(row.tenants).filter((tenant) => tenant !== event.data.tenant);
      return { ...row, tenants: left.join(" ") };
    }
    case "profile.updated":
      return { ...row, name: event.data.name };
    case "settings.updated":
      return { ...row, settings: JSON.stringify(event.data.settings) };
    case "account.deleted":
      return { ...row, status: "deleted", email: "", name: "", settings: "{}", tenants: "" };
    default:
      return row;
  }
}

export interface SessionRow extends Row {
  readonly tenant: string;
  readonly account: string;
  readonly session: string;
  /** Where its tokens are good. */
  readonly at_tenant: string;
  readonly device: string;
  readonly generation: number;
  readonly opened_at: string;
  readonly refreshed_at: string;
  readonly expires_at: string;
  /** Why it is over; null while it is open. */
  readonly closed: string | null;
}

const sessionTable: Table = {
  name: "account_sessions",
  columns: {
    tenant: 'text COLLATE "C"',
    account: "uuid",
    session: "uuid",
    at_tenant: "text",
    device: "text",
    generation: "integer",
    opened_at: "timestamptz(3)",
    refreshed_at: "timestamptz(3)",
    expires_at: "timestamptz(3)",
    closed: "text",
  },
  nullable: ["closed"],
  key: ["tenant", "account", "session"],
  indexes: ["(tenant, account) WHERE closed IS NULL"],
  hidden: [],
};

const sessionSheet: Sheet<SessionRow> = {
  table: sessionTable,
  part: "session",
  wants: (event) => ("session" in event.data ? event.data.session : undefined),
  fold(rows, event, { ref, at }: Place) {
    if (event.type === "session.opened") {
      const { session, tenant: at_tenant, device, expires } = event.data;
      rows.put(session, {
        ...{ tenant: ref.tenant, account: ref.id, session, at_tenant, device, generation: 1 },
        ...{ opened_at: at, refreshed_at: at, expires_at: expires, closed: null },
      });
      return;
    }
    if (event.type !== "session.refreshed" && event.type !== "session.closed") return;
    const before = rows.get(event.data.session);
    if (before === undefined) throw new Error("the session was never opened");
    if (event.type === "session.closed") {
      rows.put(event.data.session, { ...before, device: "", closed: event.data.reason });
      return;
    }
    const { session, generation, expires } = event.data;
    rows.put(session, { ...before, generation, refreshed_at: at, expires_at: expires });
  },
};

export const accounts: Projector = {
  name: "accounts",
  version: 1,
  kinds: ["account"],
  sheets: [sheet, sessionSheet],
};
