/** What the gateway knows of an account: folded from its events, pure. */
import type { Commit } from "../../schemas/commit.ts";
import type { DomainEvent } from "../../schemas/events.ts";

export interface SessionView {
  readonly tenant: string;
  readonly device: string;
  readonly expires: string;
  readonly openedAt: string;
  readonly usedAt: string;
}

export interface AccountView {
  /** The number of the last event that changed its name, and of the one that changed its settings. */
  readonly profileRevision: number;
  readonly settingsRevision: number;
  /** Whether it has been registered and is not deleted. */
  readonly active: boolean;
  readonly home: string;
  readonly email: string;
  readonly name: string;
  /** PHC string; "" when its content is erased. */
  readonly password: string;
  readonly settings: Readonly<Record<string, unknown>>;
  /** In the order of joining. */
  readonly tenants: readonly string[];
  readonly sessions: ReadonlyMap<string, SessionView>;
}

export const noAccount: AccountView = {
  ...{ active: false, home: "", email: "", name: "", password: "", settings: {} },
  ...{ tenants: [], sessions: new Map(), profileRevision: 0, settingsRevision: 0 },
};

export const foldAccount = (view: AccountView, { events, at, revision }: Commit): AccountView =>
  events.reduce((before, event, index) => after(before, event, at, revision + index), view);

function after(
  view: AccountView,
  { type, data }: DomainEvent,
  at: string,
  revision: number,
): AccountView {
  switch (type) {
    case "account.registered":
      return {
        ...{ ...view, ...data, active: true },
        ...{ profileRevision: revision, settingsRevision: revision },
      };
    case "account.joined":
      return { ...view, tenants: [...view.tenants, data.tenant] };
    case "account.left":
      return { ...view, tenants: view.tenants.filter((one) => one !== data.tenant) };
    case "account.deleted":
      return noAccount;
    case "profile.updated":
      return { ...view, ...data, profileRevision: revision };
    case "settings.updated":
      return { ...view, ...data, settingsRevision: revision };
    case "password.changed":
      return { ...view, ...data };
    case "session.opened": {
      const { session, tenant, device, expires } = data;
      const opened = { tenant, device, expires, openedAt: at, usedAt: at };
      return { ...view, sessions: new Map(view.sessions).set(session, opened) };
    }
    case "session.refreshed": {
      const { session, expires } = data;
      const found = view.sessions.get(session);
      if (found === undefined) return view;
      const used = { ...found, expires, usedAt: at };
      return { ...view, sessions: new Map(view.sessions).set(session, used) };
    }
    case "session.closed": {
      const sessions = new Map(view.sessions);
      sessions.delete(data.session);
      return { ...view, sessions };
    }
    default:
      return view;
  }
}
