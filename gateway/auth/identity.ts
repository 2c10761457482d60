/** Who a socket or a request belongs to, and what it may do. */
import { AppError } from "../../schemas/errors.ts";
import { allows, type Permission, type Role, type Scope } from "../../schemas/permissions.ts";

export interface Identity {
  readonly tenant: string;
  readonly user: string;
  readonly role: Role;
  /** Milliseconds since 1970. */
  readonly expires_ms: number;
  /** The session of the account that it came from; null for every other credential. */
  readonly session: string | null;
  /** The API key that it is; null for a token. */
  readonly key: string | null;
  /** What an API key is limited to beside its user's role; null for a token. */
  readonly scopes: readonly Scope[] | null;
}

export const permits = (who: Identity, permission: Permission): boolean =>
  allows(who.role, who.scopes, permission);

/** Throws `forbidden`. */
export function must(who: Identity, permission: Permission): void {
  if (!permits(who, permission)) throw new AppError("forbidden");
}
