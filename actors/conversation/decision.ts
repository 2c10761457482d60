/** What a decision is given and what it may answer: the vocabulary of `decide.ts` and its parts. */
import { strict as assert } from "node:assert";
import type { CallReport } from "../../schemas/commands/conversation.ts";
import type { ErrorCode } from "../../schemas/errors.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import type { By, Ids } from "../../schemas/ids.ts";
import type { ModelRoute } from "../../schemas/models.ts";
import type { Published } from "../ports.ts";
import type { ConversationState } from "./state.ts";

/** Where a conversation is in its life, and what it holds. */
export interface Conversation {
  readonly life: "absent" | "active" | "archived" | "deleted";
  readonly state: ConversationState;
}

/** How far the running turn has come: what it published, and what its call has used by now. */
export interface Progress extends Published {
  /** Read from what others can see of it; its owner may have published more. */
  readonly elsewhere?: true;
  /** Null when no call of a model was under way. */
  readonly call: CallReport | null;
}

/** All that a decision may know beside the conversation and the command. */
export interface DecisionContext {
  /** The command's id. */
  readonly command: string;
  readonly by: By;
  /** The user may act on what integrations began. */
  readonly manages?: boolean;
  readonly ids: Ids;
  /** This worker's id: the owner of the turns that start now. */
  readonly worker: string;
  /** The route for a wished model (`null`: the default); `null` when no such model is known. */
  route(model: string | null): ModelRoute | null;
  /** Whether no message may say this here; absent: everything may be said. */
  readonly disallows?: (text: string) => boolean;
  /** No further turn may begin: the conversation has as many commits as it may have. */
  readonly full: boolean;
  /** No further turn may begin: this worker holds as many as it may hold. */
  readonly overloaded: boolean;
  /** No further turn of this tenant may begin or wait here: others would find no place (I10). */
  readonly crowded?: boolean;
  /** No further turn of this tenant may begin here: as many run as may run. */
  readonly busy: boolean;
  /** When it is decided, ISO. */
  readonly at: string;
  /** Null until a decision has asked for it. */
  readonly progress: Progress | null;
}

/**
 * - `events`: what happened; none means "already so", which makes a command safe to repeat.
 * - `refused`: an answer, not a failure.
 * - `progress`: it would end the running turn; decide again with the context's progress.
 */
export type Decision =
  | { readonly is: "events"; readonly events: readonly DomainEvent[] }
  | { readonly is: "refused"; readonly code: ErrorCode; readonly detail?: string }
  | { readonly is: "progress" };

export const decided = (...events: readonly DomainEvent[]): Decision => ({ is: "events", events });
export const already_so: Decision = decided();
export const refused = (code: ErrorCode, detail?: string): Decision => ({
  is: "refused",
  code,
  ...(detail === undefined ? {} : { detail }),
});
export const wants_progress: Decision = { is: "progress" };

/** The route for a wish that may be out of date: what is no longer known falls back to the default. */
export function routeFor(context: DecisionContext, wished: string | null): ModelRoute {
  const route = context.route(wished) ?? context.route(null);
  assert(route !== null, "there is always a default model");
  return route;
}
