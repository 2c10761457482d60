/** Other issuers whose tokens are believed, as COLLOQUY_ISSUERS names them. */
import Type, { type Static } from "typebox";
import { HomeTenant } from "./ids.ts";
import { Role } from "./permissions.ts";
import { check } from "./validate.ts";

/** Asymmetric ones only: whoever knows an issuer's public key must not be able to sign. */
const Algorithm = Type.Union([Type.Literal("RS256"), Type.Literal("ES256"), Type.Literal("EdDSA")]);

const Url = Type.String({ pattern: "^https?://[^\\s]+$", maxLength: 512 });

export const Issuer = Type.Object(
  {
    /** The token's `iss`, to the byte. */
    issuer: Url,
    audience: Type.String({ minLength: 1, maxLength: 256 }),
    /** Where its key set is (RFC 7517). */
    jwks: Url,
    algorithms: Type.Array(Algorithm, { minItems: 1, uniqueItems: true, default: ["RS256"] }),
    /** Everybody of this issuer belongs to it … */
    tenant: Type.Optional(HomeTenant),
    /** … or to the tenant that this claim names. */
    tenantClaim: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    /** A claim, or a path of them like `realm_access.roles`: a text or a list of texts. */
    roleClaim: Type.Optional(Type.String({ minLength: 1, maxLength: 128 })),
    /** What the values of that claim are here. */
    roles: Type.Record(Type.String(), Role, { default: {} }),
    /** Whose values say nothing; null refuses them. */
    defaultRole: Type.Union([Role, Type.Null()], { default: "member" }),
  },
  { additionalProperties: false },
);
export type Issuer = Static<typeof Issuer>;

/** Hosts that `http` may be spoken with: what it says does not leave the machine. */
const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

const issuers = check(Type.Array(Issuer, { maxItems: 32 }));

/** Throws `TypeError` with what is wrong. */
export function readIssuers(value: unknown): readonly Issuer[] {
  const filled = Array.isArray(value) ? value.map(withDefaults) : value;
  const parsed = issuers.parse(filled);
  if (!parsed.ok) throw new TypeError(`is a JSON list of issuers; ${parsed.problem}`);
  const taken = new Set<string>();
  for (const { issuer, jwks, tenant, tenantClaim } of parsed.value) {
    // Whoever can change the key set on its way is every user of the issuer.
    const { protocol, hostname } = URL.parse(jwks) ?? { protocol: "", hostname: "" };
    if (protocol !== "https:" && !loopback.test(hostname)) {
      throw new TypeError(`needs for ${issuer} a jwks with https`);
    }
    if ((tenant === undefined) === (tenantClaim === undefined)) {
      throw new TypeError(`needs for ${issuer} one of tenant and tenantClaim`);
    }
    // A `sub` is unique within its issuer only: two of them in one tenant would be one person.
    if (tenant !== undefined && taken.has(tenant)) {
      throw new TypeError(`names two issuers for the tenant ${tenant}; each needs its own`);
    }
    if (tenant !== undefined) taken.add(tenant);
  }
  return parsed.value;
}

const withDefaults = (value: unknown): unknown =>
  typeof value === "object" && value !== null
    ? { algorithms: ["RS256"], roles: {}, defaultRole: "member", ...value }
    : value;
