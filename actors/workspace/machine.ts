/**
 * The law of a workspace: which events may follow which. Anchors cover the log without a gap and
 * without an overlap, and each names the root of the one before. Nothing runs in a workspace: it has
 * no effects.
 */
import { assign, setup } from "xstate";
import type { ActorRef } from "../../schemas/ids.ts";
import { evolve, initialState, type WorkspaceEvent, type WorkspaceState } from "./state.ts";

/** XState's pure `transition` makes a context without input, only to throw it away. */
const nobody: ActorRef = {
  tenant: "none",
  kind: "workspace",
  id: "00000000-0000-0000-0000-000000000000",
};

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
  },
}).createMachine({
  id: "workspace",
  context: ({ input }) => initialState(input?.ref ?? nobody),
  initial: "absent",
  states: {
    absent: {
      on: {
        "chain.anchored": { guard: "isNextAnchor", target: "active", actions: "evolve" },
        "log.exported": { target: "active", actions: "evolve" },
      },
    },
    active: {
      on: {
        "chain.anchored": { guard: "isNextAnchor", actions: "evolve" },
        "log.exported": { actions: "evolve" },
      },
    },
  },
});
