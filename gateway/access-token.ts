/**
 * Access tokens: JWT, HS256, `sub`, `tenant`, `role`, `exp`. Nothing but this algorithm is accepted,
 * and every claim is checked against the pattern of its kind before it is used (I10).
 */
import { errors as joseErrors, jwtVerify, SignJWT } from "jose";
import { accessClaims, type Role } from "../schemas/access-token.ts";
import { AppError } from "../schemas/errors.ts";

/** Who a socket or a request belongs to. */
export interface Identity {
  readonly tenant: string;
  readonly user: string;
  readonly role: Role;
  /** Milliseconds since 1970. */
  readonly expires_ms: number;
}

/** Signs a token for `ttl_s` seconds from `now_ms`. */
export function issueAccessToken(
  secret: Uint8Array,
  who: { readonly tenant: string; readonly user: string; readonly role: Role },
  ttl_s: number,
  now_ms: number,
): Promise<string> {
  const now_s = Math.floor(now_ms / 1000);
  return new SignJWT({ tenant: who.tenant, role: who.role })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(who.user)
    .setIssuedAt(now_s)
    .setExpirationTime(now_s + ttl_s)
    .sign(secret);
}

/** Throws `AppError`: `token_expired`, or `unauthenticated` for anything else that is wrong. */
export async function verifyAccessToken(
  secret: Uint8Array,
  token: string,
  now_ms: number,
): Promise<Identity> {
  try {
    const { payload } = await jwtVerify(token, secret, {
      algorithms: ["HS256"],
      currentDate: new Date(now_ms),
    });
    const parsed = accessClaims.parse({ role: "member", ...payload });
    if (!parsed.ok) throw new AppError("unauthenticated");
    const { sub, tenant, role, exp } = parsed.value;
    return { tenant, user: sub, role, expires_ms: exp * 1000 };
  } catch (error) {
    if (error instanceof joseErrors.JWTExpired) throw new AppError("token_expired");
    throw new AppError("unauthenticated");
  }
}
