/**
 * An account's state: where it belongs and in which sessions it is signed in, no more than decisions
 * need: neither name nor address nor password. `evolve` is the only thing that makes a state, and it
 * is total: the machine decides whether an event may come (I4).
 */
import type { AccountEventType, EventData } from "../../schemas/events.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import type { Folded } from "../still-kind.ts";

export interface Session {
  readonly session: string;
  readonly tenant: string;
  /** The hash of the refresh token that is good now. */
  readonly token: string;
  /** Its number; 1 at the opening. */
  readonly generation: number;
  readonly expires: string;
  /** When it was given out. */
  readonly at: string;
  /** The beginnings of the hashes of those before it, oldest first. */
  readonly earlier: readonly string[];
}

export interface AccountState {
  readonly ref: ActorRef;
  /** The number of the last event. */
  readonly revision: number;
  /** The numbers of the last events that changed its profile and its settings; 0 while none has. */
  readonly profile: number;
  readonly settings: number;
  readonly tenants: readonly string[];
  /** Oldest first. */
  readonly sessions: readonly Session[];
  /** The command that deleted it. */
  readonly deletedBy: string | null;
}

export type AccountEvent = {
  [T in AccountEventType]: { readonly type: T; readonly data: EventData<T> } & Folded;
}[AccountEventType];

export const initialState = (ref: ActorRef): AccountState => ({
  ...{ ref, revision: 0, profile: 0, settings: 0 },
  ...{ tenants: [], sessions: [], deletedBy: null },
});

/**
 * Earlier refresh tokens that a session knows again: a day of them at one every 15 minutes. It stands
 * here and not among the limits, since it makes state: another number is another version of this code.
 */
const earlier_max = 100;

/** What is kept of the hash of an earlier token: enough to know it, a quarter of its size. */
export const beginning = (token: string): string => token.slice(0, 16);

export const sessionOf = (state: AccountState, session: string): Session | undefined =>
  state.sessions.find((one) => one.session === session);

/** The state after an event that the machine has allowed. */
export function evolve(before: AccountState, event: AccountEvent): AccountState {
  const state = { ...before, revision: before.revision + 1 };
  const { revision } = state;
  switch (event.type) {
    case "account.registered":
      return { ...state, profile: revision, settings: revision };
    case "profile.updated":
      return { ...state, profile: revision };
    case "settings.updated":
      return { ...state, settings: revision };
    case "account.joined":
      return { ...state, tenants: [...state.tenants, event.data.tenant] };
    case "account.left":
      return { ...state, tenants: state.tenants.filter((one) => one !== event.data.tenant) };
    case "account.deleted":
      return { ...state, tenants: [], deletedBy: event.command };
    case "session.opened": {
      const { session, tenant, token, expires } = event.data;
      const opened = { session, tenant, token, expires, generation: 1, at: event.at, earlier: [] };
      return { ...state, sessions: [...state.sessions, opened] };
    }
    case "session.refreshed": {
      const { session, token, generation, expires } = event.data;
      const sessions = state.sessions.map((one) => {
        if (one.session !== session) return one;
        const earlier = [...one.earlier, beginning(one.token)].slice(-earlier_max);
        return { ...one, token, generation, expires, at: event.at, earlier };
      });
      return { ...state, sessions };
    }
    case "session.closed": {
      const sessions = state.sessions.filter(({ session }) => session !== event.data.session);
      return { ...state, sessions };
    }
    case "password.changed":
      return state;
  }
}
