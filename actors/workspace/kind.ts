/** The workspace as a kind of actor; nothing runs in it. */
import { createActor } from "xstate";
import { isWorkspaceCommand } from "../../schemas/commands.ts";
import { limits } from "../../schemas/limits.ts";
import type { Kind } from "../kind.ts";
import { stillKind } from "../still-kind.ts";
import { decide, mayAct } from "./decide.ts";
import { workspaceMachine } from "./machine.ts";
import { revisionOf } from "./revisions.ts";

export const workspaceKind: Kind = stillKind(
  {
    machine: workspaceMachine,
    begin: (from) => createActor(workspaceMachine, from).getSnapshot(),
    commands_max: limits.workspace_commands_max,
    takes: isWorkspaceCommand,
    decide: ({ context }, command, asking) => decide(context, command, asking),
    tells: (_, by) => mayAct(by),
    revisionOf: ({ context }, command) => revisionOf(context, command),
    // A tenant ends with its last conversation, never its workspace.
    deletedBy: () => null,
  },
  null,
);
