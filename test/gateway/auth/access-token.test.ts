import { createHmac, generateKeyPairSync } from "node:crypto";
import { SignJWT, UnsecuredJWT, exportJWK, exportSPKI } from "jose";
import { describe, expect, test } from "vitest";
import { issueAccessToken, verifyAccessToken } from "../../../gateway/auth/access-token.ts";
import { type KeyRing, openKeyRing, readSigningKey } from "../../../gateway/auth/key-ring.ts";

const secret = new Uint8Array(32).fill(1);
const other = new Uint8Array(32).fill(2);
const ring = openKeyRing({ secrets: [secret] });
const now = 1_800_000_000_000;
const ann = { tenant: "acme", user: "ann@example.org", role: "member" } as const;
const pem = (key: ReturnType<typeof generateKeyPairSync>["privateKey"]): string =>
  key.export({ format: "pem", type: "pkcs8" }).toString();
const ed = generateKeyPairSync("ed25519");
const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });

const codeOf = (token: string, keys: KeyRing = ring, at = now): unknown => {
  try {
    verifyAccessToken(keys, token, at);
    return "accepted";
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
};
const claims = { sub: "ann", tenant: "acme", role: "member" };
const signed = (
  said: Record<string, unknown>,
  key: Parameters<SignJWT["sign"]>[0] = secret,
  header: { alg: string; [field: string]: unknown } = { alg: "HS256" },
): Promise<string> =>
  new SignJWT(said)
    .setProtectedHeader(header)
    .setExpirationTime(now / 1000 + 60)
    .sign(key);

describe("access tokens", () => {
  test("I10: a token names its tenant, user and role until it expires", () => {
    const token = issueAccessToken(ring, ann, 60, now);
    const expires_ms = now + 60_000;
    const more = { expires_ms, session: null, key: null, scopes: null };
    expect(verifyAccessToken(ring, token, now)).toEqual({ ...ann, ...more });
    expect(codeOf(token, ring, expires_ms + 1_000)).toBe("token_expired");
  });

  test("I10: forged, unsigned, otherwise signed and odd tokens are refused", async () => {
    const long = new Uint8Array(64).fill(1);
    expect(codeOf(await signed(claims))).toBe("accepted");
    for (const token of [
      "",
      "a.b.c",
      await signed(claims, other),
      await signed(claims, long, { alg: "HS512" }),
      new UnsecuredJWT(claims).setExpirationTime(now / 1000 + 60).encode(),
      await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(secret),
      await signed({ ...claims, tenant: "acme.evil" }),
      await signed({ ...claims, tenant: "accounts" }),
      await signed({ ...claims, tenant: "*" }),
      await signed({ ...claims, sub: "a b" }),
      await signed({ ...claims, role: "root" }),
      await signed({ sub: "ann" }),
      await signed({ ...claims, nbf: now / 1000 + 5 }),
      await signed(claims, secret, { alg: "HS256", kid: "nobody's" }),
      await signed(claims, secret, { alg: "HS256", typ: "colloquy-by+jwt" }),
      `${await signed(claims)}.more`,
    ]) {
      expect(codeOf(token)).toBe("unauthenticated");
    }
  });

  test("earlier secrets and keys are believed, and only the new one signs", () => {
    const after = openKeyRing({ secrets: [other, secret] });
    const old = issueAccessToken(ring, ann, 60, now);
    const fresh = issueAccessToken(after, ann, 60, now);
    expect(codeOf(old, after)).toBe("accepted");
    expect(codeOf(fresh, after)).toBe("accepted");
    expect(codeOf(fresh, ring)).toBe("unauthenticated");
    expect(codeOf(old, openKeyRing({ secrets: [other] }))).toBe("unauthenticated");
  });

  test.each([
    ["EdDSA", ed],
    ["RS256", rsa],
  ])("%s: a key pair signs, its public key is shown, the secret goes on", (alg, pair) => {
    const pairs = openKeyRing({ secrets: [secret], signing: readSigningKey(pem(pair.privateKey)) });
    const token = issueAccessToken(pairs, ann, 60, now);
    expect(codeOf(token, pairs)).toBe("accepted");
    expect(codeOf(issueAccessToken(ring, ann, 60, now), pairs)).toBe("accepted");
    expect(codeOf(token)).toBe("unauthenticated");
    const [shown, ...more] = pairs.public;
    expect(more).toEqual([]);
    expect(shown).toMatchObject({ alg, use: "sig" });
    expect(shown).not.toHaveProperty("d");
    const checking = openKeyRing({
      secrets: [other],
      previous: [readSigningKey(JSON.stringify(shown))],
    });
    expect(codeOf(token, checking)).toBe("accepted");
  });

  test("I10: a public key is never a secret, and no header chooses its own judge", async () => {
    const pairs = openKeyRing({ secrets: [secret], signing: rsa.privateKey });
    const kid = pairs.public[0]?.kid ?? "";
    const spki = await exportSPKI(rsa.publicKey);
    const forge = (header: object, key: Uint8Array): string => {
      const part = (value: object): string =>
        Buffer.from(JSON.stringify(value)).toString("base64url");
      const text = `${part(header)}.${part({ ...claims, exp: now / 1000 + 60 })}`;
      return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
    };
    const evil = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const jwk = await exportJWK(evil.publicKey);
    for (const token of [
      forge({ alg: "HS256", kid }, new TextEncoder().encode(spki)),
      forge({ alg: "HS256" }, new TextEncoder().encode(spki)),
      forge({ alg: "RS256", kid }, secret),
      forge({ alg: "HS256", crit: ["exp"] }, secret),
      forge({ alg: "none", kid }, secret),
      await signed(claims, evil.privateKey, { alg: "RS256", kid }),
      await signed(claims, evil.privateKey, { alg: "RS256", jwk }),
      await signed(claims, evil.privateKey, { alg: "RS256", jku: "http://127.0.0.1:1/jwks" }),
      await signed(claims, rsa.privateKey, { alg: "RS512", kid }),
    ]) {
      expect(codeOf(token, pairs)).toBe("unauthenticated");
    }
    expect(codeOf(await signed(claims, rsa.privateKey, { alg: "RS256", kid }), pairs)).toBe(
      "accepted",
    );
  });

  test("a weak or foreign key is refused with a sentence that does not quote it", () => {
    const weak = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const curve = generateKeyPairSync("ec", { namedCurve: "P-256" });
    for (const text of [pem(weak.privateKey), pem(curve.privateKey)]) {
      expect(() => readSigningKey(text)).toThrow("must be an Ed25519 key or an RSA key");
    }
    for (const text of ["", "{}", "-----BEGIN PRIVATE KEY-----", '{"kty":"oct","k":"c2VjcmV0"}']) {
      expect(() => readSigningKey(text)).toThrow("holds no key in PEM or JWK form");
    }
  });
});
