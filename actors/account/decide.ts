/**
 * What an account answers to a command: events, or a refusal by name. Pure. It answers its own user
 * and the system; to others it does not exist (I10). Everybody who registers an address comes to the
 * one account of that address, so that it is unique without a race.
 */
import type { AccountCommand, CommandData } from "../../schemas/commands.ts";
import type { ErrorCode } from "../../schemas/errors.ts";
import type { SessionReason } from "../../schemas/events/account.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import type { ActorRef, By } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Answer, Asking } from "../kind.ts";
import { type AccountState, beginning, type Session, sessionOf } from "./state.ts";

export type Life = "absent" | "active" | "deleted";

const refused = (code: ErrorCode, detail?: string): Answer =>
  detail === undefined ? { is: "refused", code } : { is: "refused", code, detail };
const decided = (...events: DomainEvent[]): Answer => ({ is: "events", events });
const already_so = decided();

/** Integrations may do nothing with accounts. */
export const mayAct = (ref: ActorRef, by: By): boolean =>
  by.type === "system" || (by.type === "user" && by.id === ref.id);

export function decide(
  life: Life,
  state: AccountState,
  command: AccountCommand,
  { by, at }: Pick<Asking, "by" | "at">,
): Answer {
  if (!mayAct(state.ref, by)) return refused("not_found");
  if (command.name === "register") {
    // Also of a deleted one: its id stands in what others have written, and means nobody else.
    return life === "absent"
      ? decided(event("account.registered", command.data))
      : refused("email_taken");
  }
  if (life === "deleted" && command.name === "delete") return already_so;
  if (life !== "active") return refused("not_found");
  switch (command.name) {
    case "join-tenant": {
      const { tenant } = command.data;
      if (state.tenants.includes(tenant)) return already_so;
      if (state.tenants.length >= limits.tenants_per_account_max) {
        return refused("too_many_tenants");
      }
      return decided(event("account.joined", { tenant }));
    }
    case "leave-tenant": {
      const { tenant } = command.data;
      if (!state.tenants.includes(tenant)) return already_so;
      const there = state.sessions.filter((one) => one.tenant === tenant);
      return decided(...closed(there, "removed"), event("account.left", { tenant }));
    }
    case "update-profile":
      return decided(event("profile.updated", { name: command.data.name }));
    case "update-settings": {
      const { settings } = command.data;
      const size = Buffer.byteLength(JSON.stringify(settings));
      if (size <= limits.settings_bytes_max)
        return decided(event("settings.updated", { settings }));
      return refused(
        "too_large",
        `Settings are at most ${limits.settings_bytes_max} bytes of JSON.`,
      );
    }
    case "change-password": {
      const { password, keep } = command.data;
      const others = state.sessions.filter(({ session }) => session !== keep);
      return decided(event("password.changed", { password }), ...closed(others, "password"));
    }
    case "open-session":
      return open(state, command.data, at);
    case "refresh":
      return refresh(state, command.data, at);
    case "close-session": {
      const session = sessionOf(state, command.data.session);
      return session === undefined ? already_so : decided(...closed([session], "logout"));
    }
    case "delete":
      // The system deletes again what a backup has brought back, wherever it belonged then.
      if (state.tenants.length > 0 && by.type !== "system") return refused("account_in_use");
      return decided(...closed(state.sessions, "removed"), event("account.deleted", {}));
  }
}

const closed = (sessions: readonly Session[], reason: SessionReason): DomainEvent[] =>
  sessions.map(({ session }) => event("session.closed", { session, reason }));

/** Times of this form compare as text. */
const isOver = (expires: string, at: string): boolean => expires <= at;

function open(state: AccountState, data: CommandData<"open-session">, at: string): Answer {
  const same = sessionOf(state, data.session);
  if (same !== undefined) return same.token === data.token ? already_so : refused("id_taken");
  if (!state.tenants.includes(data.tenant)) return refused("forbidden");
  if (isOver(data.expires, at)) return refused("bad_request", "The session would be over already.");
  const old = state.sessions.filter(({ expires }) => isOver(expires, at));
  const good = state.sessions.filter(({ expires }) => !isOver(expires, at));
  const over = Math.max(0, good.length + 1 - limits.sessions_per_account_max);
  return decided(
    ...closed(old, "expired"),
    ...closed(good.slice(0, over), "replaced"),
    event("session.opened", data),
  );
}

/**
 * A refresh token is good once. Who shows an earlier one has it from somebody who used it, or somebody
 * used it who has it from them: nobody can tell, so the session ends (RFC 9700 §4.14.2). Only the
 * retry of a refresh whose answer was lost is told apart: it names the very token that was recorded.
 */
function refresh(state: AccountState, data: CommandData<"refresh">, at: string): Answer {
  const { session: id, token, next, expires } = data;
  const session = sessionOf(state, id);
  if (session === undefined || isOver(session.expires, at)) return refused("unauthenticated");
  if (token === session.token) {
    if (isOver(expires, at)) return refused("bad_request", "The session would be over already.");
    const generation = session.generation + 1;
    return decided(event("session.refreshed", { session: id, token: next, generation, expires }));
  }
  if (!session.earlier.includes(beginning(token))) return refused("unauthenticated");
  const retried =
    session.earlier.at(-1) === beginning(token) &&
    next === session.token &&
    Date.parse(at) - Date.parse(session.at) <= limits.refresh_grace_ms;
  return retried ? already_so : decided(...closed([session], "reused"));
}
