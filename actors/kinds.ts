/**
 * Every kind of actor that a worker runs, as one: an actor's own kind is found by its name. A kind
 * that is not here is refused by the queue before it comes to a host.
 */
import { AppError } from "../schemas/errors.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { accountKind } from "./account/kind.ts";
import { conversationKind } from "./conversation/kind.ts";
import type { Kind, Mailboxes } from "./kind.ts";
import type { Ports } from "./ports.ts";
import { workspaceKind } from "./workspace/kind.ts";

export function allKinds(ports: Ports, mailboxes: Mailboxes): Kind {
  const kinds: Partial<Record<ActorRef["kind"], Kind>> = {
    account: accountKind(ports, mailboxes),
    conversation: conversationKind(ports, mailboxes),
    workspace: workspaceKind,
  };
  const all = Object.values(kinds);
  return {
    create(ref, state) {
      const kind = kinds[ref.kind];
      if (kind === undefined) {
        throw new AppError("unknown_command", `a ${ref.kind} takes no commands here`);
      }
      return kind.create(ref, state);
    },
    effects: () => all.reduce((sum, kind) => sum + kind.effects(), 0),
    effectsOf: (tenant) => all.reduce((sum, kind) => sum + kind.effectsOf(tenant), 0),
    runs: (ref, attempt) => kinds[ref.kind]?.runs(ref, attempt) === true,
    halt: (ref) => kinds[ref.kind]?.halt(ref),
  };
}
