/**
 * Access tokens: JWT, HS256, `sub`, `tenant`, `role`, `exp`. Nothing but this algorithm is accepted,
 * and every claim is checked against the pattern of its kind before it is used (I10).
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { SignJWT } from "jose";
import { accessClaims } from "../schemas/access-token.ts";
import { AppError } from "../schemas/errors.ts";
import type { Role } from "../schemas/permissions.ts";
import { parseJson } from "../schemas/validate.ts";

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

/**
 * Throws `AppError`: `token_expired`, or `unauthenticated` for anything else that is wrong. It is
 * synchronous, since a socket must be upgraded before its handler returns (gateway/server.ts).
 */
export function verifyAccessToken(secret: Uint8Array, token: string, now_ms: number): Identity {
  const [header = "", payload = "", signature = "", ...more] = token.split(".");
  const signed = createHmac("sha256", secret).update(`${header}.${payload}`).digest();
  const given = Buffer.from(signature, "base64url");
  const genuine =
    more.length === 0 && given.length === signed.length && timingSafeEqual(given, signed);
  const { alg, crit } = fieldsOf(header);
  if (!genuine || alg !== "HS256" || crit !== undefined) throw new AppError("unauthenticated");
  const claims = fieldsOf(payload);
  const parsed = accessClaims.parse({ role: "member", ...claims });
  if (!parsed.ok) throw new AppError("unauthenticated");
  const { sub, tenant, role, exp } = parsed.value;
  const now_s = now_ms / 1000;
  if (exp <= now_s) throw new AppError("token_expired");
  const { nbf } = claims;
  if (nbf !== undefined && !(typeof nbf === "number" && nbf <= now_s)) {
    throw new AppError("unauthenticated");
  }
  return { tenant, user: sub, role, expires_ms: exp * 1000 };
}

/** The fields of one part of a token; none when it holds no JSON object. */
function fieldsOf(part: string): Readonly<Record<string, unknown>> {
  const value = parseJson(Buffer.from(part, "base64url").toString("utf8"));
  return typeof value === "object" && value !== null ? { ...value } : {};
}
