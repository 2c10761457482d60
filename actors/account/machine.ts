/**
 * The law of an account: which events may follow which. A session is opened once, in a tenant that
 * the account belongs to; its refresh tokens are numbered without a gap; nothing of it is left open
 * behind what ends it. Nothing runs in an account: a deleted one is erased by its kind.
 */
import { assign, setup } from "xstate";
import type { ActorRef } from "../../schemas/ids.ts";
import { type AccountEvent, type AccountState, evolve, initialState, sessionOf } from "./state.ts";

/** XState's pure `transition` makes a context without input, only to throw it away. */
const nobody: ActorRef = {
  tenant: "none",
  kind: "account",
  id: "00000000-0000-0000-0000-000000000000",
};

export const accountMachine = setup({
  types: {
    // XState takes the types of a machine from values that are never read.
    context: {} as AccountState,
    events: {} as AccountEvent,
    input: {} as { ref: ActorRef } | undefined,
  },
  actions: {
    evolve: assign(({ context, event }) => evolve(context, event)),
  },
  guards: {
    isElsewhere: ({ context: { tenants }, event }) =>
      event.type === "account.joined" && !tenants.includes(event.data.tenant),
    /** It belongs there, and no session of it is open there any more. */
    isThere: ({ context: { tenants, sessions }, event }) =>
      event.type === "account.left" &&
      tenants.includes(event.data.tenant) &&
      sessions.every(({ tenant }) => tenant !== event.data.tenant),
    isNewSession: ({ context, event }) =>
      event.type === "session.opened" &&
      context.tenants.includes(event.data.tenant) &&
      sessionOf(context, event.data.session) === undefined,
    /** The next refresh token of a session that is open. */
    isNextToken: ({ context, event }) =>
      event.type === "session.refreshed" &&
      sessionOf(context, event.data.session)?.generation === event.data.generation - 1,
    isOpen: ({ context, event }) =>
      event.type === "session.closed" && sessionOf(context, event.data.session) !== undefined,
    isSignedOut: ({ context: { sessions } }) => sessions.length === 0,
  },
}).createMachine({
  id: "account",
  context: ({ input }) => initialState(input?.ref ?? nobody),
  initial: "absent",
  states: {
    absent: {
      on: { "account.registered": { target: "active", actions: "evolve" } },
    },
    active: {
      on: {
        "account.joined": { guard: "isElsewhere", actions: "evolve" },
        "account.left": { guard: "isThere", actions: "evolve" },
        "profile.updated": { actions: "evolve" },
        "settings.updated": { actions: "evolve" },
        "password.changed": { actions: "evolve" },
        "session.opened": { guard: "isNewSession", actions: "evolve" },
        "session.refreshed": { guard: "isNextToken", actions: "evolve" },
        "session.closed": { guard: "isOpen", actions: "evolve" },
        "account.deleted": { guard: "isSignedOut", target: "deleted", actions: "evolve" },
      },
    },
    deleted: {},
  },
});
