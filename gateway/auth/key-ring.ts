/**
 * The keys that access tokens are signed and checked with. Each key has exactly one algorithm, fixed
 * by what the key is and never by what a token says of itself (RFC 8725 §3.1): a public key can never
 * be taken for an HMAC secret, and `none` is no algorithm. One key signs; earlier ones are still
 * believed, so that keys can be rotated while tokens are out. Everything here is synchronous.
 */
import {
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type JsonWebKey,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
} from "node:crypto";
import { parseJson } from "../../schemas/validate.ts";

export type OwnAlgorithm = "HS256" | "EdDSA" | "RS256";

/** A public key as `/.well-known/jwks.json` shows it (RFC 7517). */
export interface PublicJwk {
  readonly kty: string;
  readonly kid: string;
  readonly alg: string;
  readonly use: "sig";
  readonly [field: string]: string;
}

export interface KeyRing {
  /** A signed JWT (JWS compact, RFC 7515 §7.1) that names its key. */
  sign(claims: object): string;
  /** The claims of a token that one of the keys signed; null for every other. Judges no claim. */
  verify(token: string): Readonly<Record<string, unknown>> | null;
  /** The public keys; a secret never shows. */
  readonly public: readonly PublicJwk[];
}

interface Key {
  readonly kid: string;
  readonly alg: OwnAlgorithm;
  readonly publicJwk: PublicJwk | null;
  readonly sign: ((text: string) => Buffer) | null;
  readonly verify: (text: string, signature: Buffer) => boolean;
}

const short = (hash: Buffer): string => hash.toString("base64url").slice(0, 16);

function secretKey(secret: Uint8Array): Key {
  const key = createSecretKey(secret);
  const mac = (text: string): Buffer => createHmac("sha256", key).update(text).digest();
  return {
    // A MAC of a fixed text: it names the secret and tells nothing of it.
    kid: short(mac("colloquy key id")),
    alg: "HS256",
    publicJwk: null,
    sign: mac,
    verify(text, signature) {
      const expected = mac(text);
      return expected.length === signature.length && timingSafeEqual(expected, signature);
    },
  };
}

const rsa_bits_min = 2048;

/**
 * A key pair for signing, or a public key for checking only, from PEM or JWK text: Ed25519 (EdDSA)
 * or RSA of 2048 bits or more (RS256). Throws `TypeError` with one sentence for anything else.
 */
export function readSigningKey(text: string): KeyObject {
  const jwk = parseJson(text);
  let key: KeyObject | null = null;
  try {
    if (typeof jwk === "object" && jwk !== null) {
      // Whether the fields are those of a key is for the library to say, here and now.
      const form = { key: jwk as JsonWebKey, format: "jwk" } as const;
      key = "d" in jwk ? createPrivateKey(form) : createPublicKey(form);
    } else {
      key = text.includes("PRIVATE KEY") ? createPrivateKey(text) : createPublicKey(text);
    }
  } catch {
    // What the library says of a bad key may quote it.
  }
  if (key === null) throw new TypeError("holds no key in PEM or JWK form");
  algorithmOf(key);
  return key;
}

function algorithmOf(key: KeyObject): "EdDSA" | "RS256" {
  if (key.asymmetricKeyType === "ed25519") return "EdDSA";
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  if (key.asymmetricKeyType === "rsa" && bits >= rsa_bits_min) return "RS256";
  throw new TypeError(`must be an Ed25519 key or an RSA key of ${rsa_bits_min} bits or more`);
}

function pairKey(given: KeyObject): Key {
  const alg = algorithmOf(given);
  const publicKey = given.type === "private" ? createPublicKey(given) : given;
  const fields = publicKey.export({ format: "jwk" });
  const digest = alg === "EdDSA" ? null : "sha256";
  const { kty = "", crv, x, n, e } = fields;
  // RFC 7638: the members that make the key, in the order of their names.
  const members = alg === "EdDSA" ? { crv, kty, x } : { e, kty, n };
  const kid = short(createHash("sha256").update(JSON.stringify(members)).digest());
  const shown = Object.entries(members).map(([name, value]) => [name, value ?? ""] as const);
  return {
    kid,
    alg,
    publicJwk: { ...Object.fromEntries(shown), kty, kid, alg, use: "sig" },
    sign: given.type === "private" ? (text) => sign(digest, Buffer.from(text), given) : null,
    verify: (text, signature) => verify(digest, Buffer.from(text), publicKey, signature),
  };
}

/**
 * A ring: `signing` signs when it is there, else the first secret. All of them are believed; the
 * signer's own secret too, so that going over to a key pair makes no token invalid.
 */
export function openKeyRing(keys: {
  readonly secrets: readonly Uint8Array[];
  readonly signing?: KeyObject | null;
  readonly previous?: readonly KeyObject[];
}): KeyRing {
  const pairs = [...(keys.signing ? [keys.signing] : []), ...(keys.previous ?? [])].map(pairKey);
  const ring: readonly Key[] = [...pairs, ...keys.secrets.map(secretKey)];
  const signer = keys.signing ? pairs[0] : ring[pairs.length];
  const byId = new Map(ring.map((key) => [key.kid, key]));
  /** A token without a `kid`: one that another program signed with the shared secret. */
  const unnamed = ring.filter(({ alg }) => alg === "HS256");
  const encoded = (value: object): string =>
    Buffer.from(JSON.stringify(value)).toString("base64url");
  return {
    public: pairs.flatMap(({ publicJwk }) => (publicJwk === null ? [] : [publicJwk])),
    sign(claims) {
      if (!signer?.sign) throw new TypeError("the ring holds no key that signs");
      const { alg, kid } = signer;
      const text = `${encoded({ alg, kid, typ: "JWT" })}.${encoded(claims)}`;
      return `${text}.${signer.sign(text).toString("base64url")}`;
    },
    verify(token) {
      const parts = token.split(".");
      const [header = "", payload = "", signature = ""] = parts;
      if (parts.length !== 3) return null;
      // `jku`, `jwk` and `x5u` of a header mean nothing here: a token never names its own judge.
      const { alg, kid, typ, crit } = fieldsOf(header);
      if (crit !== undefined || (typ !== undefined && typ !== "JWT")) return null;
      const named = typeof kid === "string" ? byId.get(kid) : undefined;
      const tried = kid === undefined ? unnamed : named === undefined ? [] : [named];
      const text = `${header}.${payload}`;
      const given = Buffer.from(signature, "base64url");
      const genuine = tried.some((key) => key.alg === alg && key.verify(text, given));
      return genuine ? fieldsOf(payload) : null;
    },
  };
}

/** The fields of one part of a token; none when it holds no JSON object. */
export function fieldsOf(part: string): Readonly<Record<string, unknown>> {
  const value = parseJson(Buffer.from(part, "base64url").toString("utf8"));
  return typeof value === "object" && value !== null ? { ...value } : {};
}
