/**
 * Access tokens: a JWT with `sub`, `tenant`, `role`, `exp`, and `sid` when a session of an account
 * stands behind it. Every claim is checked against the pattern of its kind before it is used (I10).
 */
import { accessClaims } from "../../schemas/access-token.ts";
import { AppError } from "../../schemas/errors.ts";
import type { Role } from "../../schemas/permissions.ts";
import type { Identity } from "./identity.ts";
import type { KeyRing } from "./key-ring.ts";

/** Whom a token is for. */
export interface Bearer {
  readonly tenant: string;
  readonly user: string;
  readonly role: Role;
  readonly session?: string | null;
}

/** Signs a token for `ttl_s` seconds from `now_ms`. */
export function issueAccessToken(
  ring: KeyRing,
  who: Bearer,
  ttl_s: number,
  now_ms: number,
): string {
  const iat = Math.floor(now_ms / 1000);
  const { user, tenant, role, session } = who;
  const sid = session ? { sid: session } : {};
  return ring.sign({ sub: user, tenant, role, ...sid, iat, exp: iat + ttl_s });
}

/** Throws `AppError`: `token_expired`, or `unauthenticated` for anything else that is wrong. */
export function verifyAccessToken(ring: KeyRing, token: string, now_ms: number): Identity {
  const claims = ring.verify(token);
  if (claims === null) throw new AppError("unauthenticated");
  const parsed = accessClaims.parse({ role: "member", ...claims });
  if (!parsed.ok) throw new AppError("unauthenticated");
  const { sub, tenant, role, exp, sid, nbf } = parsed.value;
  const now_s = now_ms / 1000;
  if (exp <= now_s) throw new AppError("token_expired");
  if ((nbf ?? 0) > now_s) throw new AppError("unauthenticated");
  return {
    ...{ tenant, user: sub, role, expires_ms: exp * 1000 },
    ...{ session: sid ?? null, key: null, scopes: null },
  };
}
