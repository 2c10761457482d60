/** The account as a kind of actor; nothing runs in it but the erasure of a deleted one's content. */
import { createActor } from "xstate";
import { isAccountCommand } from "../../schemas/commands.ts";
import { limits } from "../../schemas/limits.ts";
import type { Kind } from "../kind.ts";
import { type Eraser, stillKind } from "../still-kind.ts";
import { decide, mayAct } from "./decide.ts";
import { accountMachine } from "./machine.ts";
import { revisionOf } from "./revisions.ts";

export const accountKind = (ports: Eraser["ports"], mailboxes: Eraser["mailboxes"]): Kind =>
  stillKind(
    {
      machine: accountMachine,
      begin: (from) => createActor(accountMachine, from).getSnapshot(),
      commands_max: limits.account_commands_max,
      takes: isAccountCommand,
      decide: ({ value, context }, command, asking) => decide(value, context, command, asking),
      tells: mayAct,
      revisionOf: ({ context }, command) => revisionOf(context, command),
      deletedBy: ({ context }) => context.deletedBy,
    },
    { ports, mailboxes },
  );
