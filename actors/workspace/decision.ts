/** What the decisions of a workspace are made of. */
import type { ErrorCode } from "../../schemas/errors.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import type { Role } from "../../schemas/permissions.ts";
import type { Answer } from "../kind.ts";

/** Who asks, with which role, and when (ISO). */
export interface Caller {
  readonly user: string;
  readonly role: Role;
  readonly at: string;
}

export const refused = (code: ErrorCode, detail?: string): Answer =>
  detail === undefined ? { is: "refused", code } : { is: "refused", code, detail };
export const decided = (...events: DomainEvent[]): Answer => ({ is: "events", events });
export const already_so: Answer = decided();

/** Times of this form compare as text. */
export const isOver = (expires: string, at: string): boolean => expires <= at;
