/**
 * The workspace as a kind of actor. Nothing runs in it, so it needs no live XState actor: the
 * machine folds by pure transitions, asleep and awake alike (I4).
 */
import { strict as assert } from "node:assert";
import { createActor, type Snapshot, transition } from "xstate";
import { isWorkspaceCommand, type NamedCommand } from "../../schemas/commands.ts";
import type { Commit } from "../../schemas/commit.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Answer, type Asking, ForbiddenEvent, type Instance, type Kind } from "../kind.ts";
import { decide, mayAct } from "./decide.ts";
import { workspaceMachine } from "./machine.ts";
import type { WorkspaceEvent } from "./state.ts";

export const workspaceKind: Kind = {
  create: createInstance,
  effects: () => 0,
  effectsOf: () => 0,
  runs: () => false,
  halt: () => undefined,
};

function createInstance(ref: ActorRef, state: unknown): Instance {
  // A snapshot is taken as it is: it was made by this very code, or it is not given to us.
  const from = state === undefined ? { input: { ref } } : { snapshot: state as Snapshot<unknown> };
  let snapshot = createActor(workspaceMachine, from).getSnapshot();
  let awake = false;
  return {
    fold({ events, sequence }: Commit) {
      for (const event of events) {
        const [next] = transition(workspaceMachine, snapshot, folded(event));
        if (next === snapshot) throw new ForbiddenEvent(ref, event.type, sequence);
        snapshot = next;
      }
    },
    wake() {
      awake = true;
    },
    get awake() {
      return awake;
    },
    commands_max: limits.workspace_commands_max,
    // A tenant ends with its last conversation, never its workspace.
    deleted: false,
    state: () => workspaceMachine.getPersistedSnapshot(snapshot),
    decide(command: NamedCommand, { by }: Asking): Promise<Answer> {
      if (!isWorkspaceCommand(command)) {
        return Promise.resolve({ is: "refused", code: "unknown_command" });
      }
      const answer = decide(snapshot.context, command, by);
      const [made] = answer.is === "events" ? answer.events : [];
      // What `decide` answers and the machine refuses is a bug of ours, and never reaches the log.
      assert(made === undefined || snapshot.can(folded(made)), `${made?.type} may not follow here`);
      return Promise.resolve(answer);
    },
    tells: mayAct,
    leaseOf: () => "none",
    running: () => null,
    takeover: () => null,
    timer: () => null,
    thaw: () => undefined,
    dropStale: () => undefined,
    detach: () => undefined,
  };
}

// The pair of type and data is that of the event; one of another kind is refused by the machine.
const folded = ({ type, data }: DomainEvent) => ({ type, data }) as WorkspaceEvent;
