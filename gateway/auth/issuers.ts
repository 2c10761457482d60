/**
 * Tokens of other issuers (OpenID Connect): found by their `iss`, checked with the keys of that
 * issuer's key set and with nothing that the token itself points to. Algorithms are an allow-list of
 * asymmetric ones (RFC 8725 §3.1), so a public key is never a secret. Keys are fetched with a time
 * limit and kept; they are asked for again when one is unknown, but not more often than every 30 s, and
 * every ten minutes behind the back of whoever comes. So an issuer that cannot be reached disturbs
 * nobody whose key is known; others are told `unavailable`.
 */
import { createRemoteJWKSet, errors, jwtVerify } from "jose";
import { AppError } from "../../schemas/errors.ts";
import { isAccountId, isHomeTenant, isUserId } from "../../schemas/ids.ts";
import type { Issuer } from "../../schemas/issuers.ts";
import { limits } from "../../schemas/limits.ts";
import type { Role } from "../../schemas/permissions.ts";
import type { Judge } from "./authenticate.ts";
import type { Identity } from "./identity.ts";
import { fieldsOf } from "./key-ring.ts";

type Claims = Readonly<Record<string, unknown>>;

/** An issuer with its keys. */
interface Known {
  readonly issuer: Issuer;
  readonly keys: ReturnType<typeof createRemoteJWKSet>;
  asked_ms: number;
}

/** Judges the tokens whose `iss` is one of these; null for every other credential. */
export function judgeIssuers(issuers: readonly Issuer[]): Judge {
  const known = new Map<string, Known>();
  for (const issuer of issuers) {
    const keys = createRemoteJWKSet(new URL(issuer.jwks), {
      timeoutDuration: limits.issuer_answer_ms,
      cooldownDuration: limits.issuer_ask_again_ms,
      // The library would let nobody in while it asks again: `refresh` asks aside.
      cacheMaxAge: Number.POSITIVE_INFINITY,
    });
    known.set(issuer.issuer, { issuer, keys, asked_ms: 0 });
  }
  return (credential, now_ms) => {
    const [header = "", payload = ""] = credential.split(".");
    const { iss } = known.size === 0 ? {} : fieldsOf(payload);
    const found = typeof iss === "string" ? known.get(iss) : undefined;
    if (found === undefined) return null;
    // Nothing that a token calls critical is known here, as with our own.
    if (fieldsOf(header)["crit"] !== undefined) throw new AppError("unauthenticated");
    const { kid } = fieldsOf(header);
    const here = found.keys.jwks()?.keys.some((key) => key.kid === kid);
    return { familiar: here === true, judge: () => judged(found, credential, now_ms) };
  };
}

/** Asks for keys that are old, for those who come later. */
function refresh(known: Known, now_ms: number): void {
  if (known.keys.jwks() === undefined) known.asked_ms = now_ms;
  if (now_ms - known.asked_ms < limits.issuer_keys_kept_ms) return;
  // Asked for again a little later when it fails, and the old ones serve meanwhile.
  known.asked_ms = now_ms - limits.issuer_keys_kept_ms + limits.issuer_ask_again_ms;
  known.keys.reload().then(
    () => (known.asked_ms = now_ms),
    () => undefined,
  );
}

async function judged(known: Known, token: string, now_ms: number): Promise<Identity> {
  const { issuer, keys } = known;
  refresh(known, now_ms);
  try {
    const { payload } = await jwtVerify(token, keys, {
      issuer: issuer.issuer,
      audience: issuer.audience,
      algorithms: [...issuer.algorithms],
      requiredClaims: ["exp", "sub"],
      currentDate: new Date(now_ms),
    });
    return identityOf(issuer, payload);
  } catch (error) {
    throw refusalOf(error);
  }
}

/** Throws `unauthenticated` for claims that name nobody here. */
function identityOf(issuer: Issuer, claims: Claims): Identity {
  const tenant = issuer.tenant ?? claimOf(claims, issuer.tenantClaim ?? "");
  const user = claims["sub"];
  const { exp } = claims;
  const mine = typeof user === "string" && isAccountId(user);
  // No issuer may speak for an account, whose ids have a form of their own.
  if (!isHomeTenant(tenant) || !isUserId(user) || mine || typeof exp !== "number") {
    throw new AppError("unauthenticated");
  }
  return {
    ...{ tenant, user, role: roleOf(issuer, claims), expires_ms: exp * 1000 },
    ...{ session: null, key: null, scopes: null },
  };
}

/** The most that the mapping gives to any of the token's values; else the issuer's default. */
function roleOf(issuer: Issuer, claims: Claims): Role {
  const said = issuer.roleClaim === undefined ? undefined : claimOf(claims, issuer.roleClaim);
  const values = (Array.isArray(said) ? said : [said]).filter((one) => typeof one === "string");
  const order: readonly Role[] = ["owner", "admin", "member", "viewer"];
  const given = values.flatMap((value) => {
    const role = Object.hasOwn(issuer.roles, value) ? issuer.roles[value] : undefined;
    return role === undefined ? [] : [role];
  });
  const role = order.find((one) => given.includes(one)) ?? issuer.defaultRole;
  if (role === null) throw new AppError("forbidden", "The issuer's token gives no role here.");
  return role;
}

/** A claim by its path: `realm_access.roles`; a name that holds dots itself comes first. */
function claimOf(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  let value: unknown = claims;
  for (const part of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, part))
      return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}

function refusalOf(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof errors.JWTExpired) return new AppError("token_expired");
  // A token that is wrong in itself; everything else is the issuer's key set.
  const wrong =
    error instanceof errors.JWTClaimValidationFailed ||
    error instanceof errors.JWSInvalid ||
    error instanceof errors.JWTInvalid ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JOSENotSupported ||
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys;
  if (wrong) return new AppError("unauthenticated");
  return new AppError("unavailable", "The issuer's keys cannot be read; try again.");
}
