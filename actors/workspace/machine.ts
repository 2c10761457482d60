/**
 * The law of a workspace: which events may follow which. Anchors cover the log without a gap and
 * without an overlap, and each names the root of the one before. A workspace that had an owner keeps
 * one while it has members; an invitation is used at most once. Nothing runs in a workspace: it has
 * no effects.
 */
import { assign, setup } from "xstate";
import type { ActorRef } from "../../schemas/ids.ts";
import { get } from "../table.ts";
import {
  evolve,
  initialState,
  keepsOwner,
  keysOf,
  type WorkspaceEvent,
  type WorkspaceState,
} from "./state.ts";

/** XState's pure `transition` makes a context without input, only to throw it away. */
const nobody: ActorRef = {
  tenant: "none",
  kind: "workspace",
  id: "00000000-0000-0000-0000-000000000000",
};

type OfWebhook = Extract<WorkspaceEvent, { readonly data: { readonly webhook: string } }>;
const isOfWebhook = (event: WorkspaceEvent): event is OfWebhook => "webhook" in event.data;

export const workspaceMachine = setup({
  types: {
    // XState takes the types of a machine from values that are never read.
    context: {} as WorkspaceState,
    events: {} as WorkspaceEvent,
    input: {} as { ref: ActorRef } | undefined,
  },
  actions: {
    evolve: assign(({ context, event }) => evolve(context, event)),
  },
  guards: {
    /** The anchor begins where the last one ended. */
    isNextAnchor: ({ context: { root, sequence }, event }) =>
      event.type === "chain.anchored" &&
      event.data.from === sequence + 1 &&
      event.data.sequence >= event.data.from &&
      event.data.previous === root,
    isFirstOpening: ({ context: { opened, members } }) => !opened && members.size === 0,
    isNewMember: ({ context: { members }, event }) =>
      event.type === "member.added" && get(members, event.data.user) === undefined,
    /** A member gets another role, and an owner is left. */
    isChange: ({ context, event }) => {
      if (event.type !== "member.changed") return false;
      const { user, role } = event.data;
      const had = get(context.members, user);
      return had !== undefined && had !== role && keepsOwner(context, user, role);
    },
    /** A member goes, with all API keys, and an owner is left if anybody is. */
    isRemoval: ({ context, event }) =>
      event.type === "member.removed" &&
      get(context.members, event.data.user) !== undefined &&
      keysOf(context, event.data.user).length === 0 &&
      keepsOwner(context, event.data.user, null),
    isNewInvitation: ({ context: { invitations }, event }) =>
      event.type === "invitation.created" && get(invitations, event.data.invitation) === undefined,
    isOpenInvitation: ({ context: { invitations }, event }) =>
      (event.type === "invitation.revoked" || event.type === "invitation.accepted") &&
      get(invitations, event.data.invitation) !== undefined,
    isNewKey: ({ context: { keys }, event }) =>
      event.type === "key.created" && get(keys, event.data.key) === undefined,
    isKey: ({ context: { keys }, event }) =>
      event.type === "key.revoked" && get(keys, event.data.key) !== undefined,
    isNewWebhook: ({ context: { webhooks }, event }) =>
      event.type === "webhook.created" && get(webhooks, event.data.webhook) === undefined,
    isWebhook: ({ context: { webhooks }, event }) =>
      isOfWebhook(event) && get(webhooks, event.data.webhook) !== undefined,
    isEnabledWebhook: ({ context: { webhooks }, event }) =>
      event.type === "webhook.disabled" && get(webhooks, event.data.webhook)?.enabled === true,
  },
}).createMachine({
  id: "workspace",
  context: ({ input }) => initialState(input?.ref ?? nobody),
  initial: "absent",
  states: {
    /** What can be its first event: nobody is in it who could do anything else. */
    absent: {
      on: {
        "chain.anchored": { guard: "isNextAnchor", target: "active", actions: "evolve" },
        "log.exported": { target: "active", actions: "evolve" },
        "workspace.opened": { guard: "isFirstOpening", target: "active", actions: "evolve" },
        "workspace.configured": { target: "active", actions: "evolve" },
        "invitation.created": { guard: "isNewInvitation", target: "active", actions: "evolve" },
        "key.created": { guard: "isNewKey", target: "active", actions: "evolve" },
        "webhook.created": { guard: "isNewWebhook", target: "active", actions: "evolve" },
      },
    },
    active: {
      on: {
        "chain.anchored": { guard: "isNextAnchor", actions: "evolve" },
        "log.exported": { actions: "evolve" },
        "workspace.opened": { guard: "isFirstOpening", actions: "evolve" },
        "workspace.configured": { actions: "evolve" },
        "member.added": { guard: "isNewMember", actions: "evolve" },
        "member.changed": { guard: "isChange", actions: "evolve" },
        "member.removed": { guard: "isRemoval", actions: "evolve" },
        "invitation.created": { guard: "isNewInvitation", actions: "evolve" },
        "invitation.revoked": { guard: "isOpenInvitation", actions: "evolve" },
        "invitation.accepted": { guard: "isOpenInvitation", actions: "evolve" },
        "key.created": { guard: "isNewKey", actions: "evolve" },
        "key.revoked": { guard: "isKey", actions: "evolve" },
        "webhook.created": { guard: "isNewWebhook", actions: "evolve" },
        "webhook.changed": { guard: "isWebhook", actions: "evolve" },
        "webhook.disabled": { guard: "isEnabledWebhook", actions: "evolve" },
        "webhook.removed": { guard: "isWebhook", actions: "evolve" },
        "webhook.tested": { guard: "isWebhook", actions: "evolve" },
        "webhook.replayed": { guard: "isWebhook", actions: "evolve" },
      },
    },
  },
});
