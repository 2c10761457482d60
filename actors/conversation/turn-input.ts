/** What the effect that writes an answer is told when its state is entered. */
import type { ActorRef } from "../../schemas/ids.ts";
import type { ModelRoute } from "../../schemas/models.ts";
import type { Sampling } from "../../schemas/sampling.ts";
import type { TextRef } from "../ports.ts";

export interface TurnInput extends ModelRoute {
  readonly ref: ActorRef;
  readonly turn: string;
  readonly message: string;
  readonly attempt: number;
  readonly owner: string;
  /** When the turn's first attempt began, ISO: its deadline counts from there. */
  readonly since: string;
  /** Whether the conversation has a title; else the answer brings one. */
  readonly titled: boolean;
  readonly sampling: Sampling | null;
  /** The messages to answer, oldest first, by the commits that hold their texts. */
  readonly path: readonly (TextRef & { readonly role: "user" | "assistant" | "system" })[];
}
