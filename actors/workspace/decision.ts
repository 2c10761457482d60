/** What the decisions of a workspace are made of. */
import type { ErrorCode } from "../../schemas/errors.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import { type By, isAccountId } from "../../schemas/ids.ts";
import type { Role } from "../../schemas/permissions.ts";
import type { Answer } from "../kind.ts";
import { get } from "../table.ts";
import type { WorkspaceState } from "./state.ts";

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

/**
 * The role that somebody has here; null for none. Whoever has an account may do what they may do as a
 * member, and nothing once they are none. Users without one come with a token of the operator's or of
 * another issuer: what its role allows was checked where it was read.
 */
export function roleOf({ members }: WorkspaceState, { type, id }: By): Role | null {
  if (type === "system") return "owner";
  return get(members, id) ?? (isAccountId(id) ? null : "owner");
}
