/**
 * The law of a conversation: which events may follow which. Its inputs are domain events only; what
 * comes from outside passes `decide` first. Effects are invoked by the state they belong to, so
 * they start on entering it and stop on leaving it. No `after`: time is a command.
 *
 * The machine stands here with inert effects: so it folds the log, judges decisions and can be
 * drawn. The host provides the real ones when it wakes an actor.
 */
import { assign, type EventObject, fromCallback, setup } from "xstate";
import type { ActorRef } from "../../schemas/ids.ts";
import {
  type ConversationEvent,
  type ConversationState,
  evolve,
  initialState,
  pathTo,
} from "./state.ts";
import type { TurnInput } from "./turn-input.ts";

/** What an effect of a deleted conversation is told. */
export interface EraseInput {
  readonly ref: ActorRef;
}

/** XState's pure `transition` makes a context without input, only to throw it away. */
const nobody: ActorRef = {
  tenant: "none",
  kind: "conversation",
  id: "00000000-0000-0000-0000-000000000000",
};

export const conversationMachine = setup({
  types: {
    // XState takes the types of a machine from values that are never read.
    context: {} as ConversationState,
    events: {} as ConversationEvent,
    input: {} as { ref: ActorRef } | undefined,
  },
  actors: {
    generate: fromCallback<EventObject, TurnInput>(() => undefined),
    erase: fromCallback<EventObject, EraseInput>(() => undefined),
  },
  actions: {
    evolve: assign(({ context, event }) => evolve(context, event)),
  },
  guards: {
    /** The event speaks of the turn and attempt that run. */
    ofRunning: ({ context: { running }, event }) =>
      running !== null &&
      "turn" in event.data &&
      event.data.turn === running.turn &&
      "attempt" in event.data &&
      event.data.attempt === running.attempt,
    /** The event is the next attempt of the turn that runs. */
    isNextAttempt: ({ context: { running }, event }) =>
      running !== null &&
      event.type === "turn.restarted" &&
      event.data.turn === running.turn &&
      event.data.attempt === running.attempt + 1,
    ofQueued: ({ context, event }) => {
      const { data } = event;
      return "turn" in data && context.queue.some(({ turn }) => turn === data.turn);
    },
    /** Turns run in the order in which they were queued. */
    isNextTurn: ({ context: { queue }, event }) =>
      event.type === "turn.started" && (queue.length === 0 || queue[0]?.turn === event.data.turn),
    nothingWaits: ({ context: { queue } }) => queue.length === 0,
  },
}).createMachine({
  id: "conversation",
  context: ({ input }) => initialState(input?.ref ?? nobody),
  initial: "absent",
  states: {
    absent: {
      on: { "conversation.started": { target: "active", actions: "evolve" } },
    },
    active: {
      initial: "idle",
      on: {
        "conversation.titled": { actions: "evolve" },
        "conversation.configured": { actions: "evolve" },
        "conversation.shared": { actions: "evolve" },
        "conversation.unshared": { actions: "evolve" },
        "message.rated": { actions: "evolve" },
        "message.added": { actions: "evolve" },
        "head.moved": { actions: "evolve" },
        "turn.cancelled": { guard: "ofQueued", actions: "evolve" },
      },
      states: {
        idle: {
          on: {
            "turn.started": { guard: "isNextTurn", target: "turn", actions: "evolve" },
            "conversation.archived": { guard: "nothingWaits", target: "#conversation.archived" },
            "conversation.deleted": {
              guard: "nothingWaits",
              target: "#conversation.deleted",
              actions: "evolve",
            },
          },
        },
        turn: {
          initial: "generating",
          on: {
            "turn.queued": { actions: "evolve" },
            "model.attempted": { guard: "ofRunning", actions: "evolve" },
            "turn.completed": { guard: "ofRunning", target: "idle", actions: "evolve" },
            "turn.failed": { guard: "ofRunning", target: "idle", actions: "evolve" },
            "turn.cancelled": [
              { guard: "ofRunning", target: "idle", actions: "evolve" },
              { guard: "ofQueued", actions: "evolve" },
            ],
          },
          states: {
            generating: {
              invoke: {
                id: "generate",
                src: "generate",
                // The evolved state: XState runs a transition's actions before it enters the state.
                input: ({ context }) => inputOf(context),
              },
              on: {
                "turn.checkpointed": { guard: "ofRunning", actions: "evolve" },
                "turn.restarted": {
                  guard: "isNextAttempt",
                  target: "generating",
                  reenter: true,
                  actions: "evolve",
                },
              },
            },
          },
        },
      },
    },
    archived: {
      on: {
        "conversation.restored": { target: "active", actions: "evolve" },
        "conversation.titled": { actions: "evolve" },
        "conversation.configured": { actions: "evolve" },
        "conversation.shared": { actions: "evolve" },
        "conversation.unshared": { actions: "evolve" },
        "message.rated": { actions: "evolve" },
        "head.moved": { actions: "evolve" },
        "conversation.deleted": { target: "deleted", actions: "evolve" },
      },
    },
    deleted: {
      // Erasing again is harmless, so waking a deleted conversation needs no record of it.
      invoke: { id: "erase", src: "erase", input: ({ context: { ref } }) => ({ ref }) },
    },
  },
});

/** What the effect of the running turn is told. */
export function inputOf(state: ConversationState): TurnInput {
  const { ref, running, titled, request: sampling } = state;
  if (running === null) throw new Error("a turn is entered only by an event that starts one");
  const { turn, message, user, attempt, provider, model, owner, since } = running;
  const path = pathTo(state, user);
  return { ref, turn, message, attempt, provider, model, owner, since, titled, sampling, path };
}
