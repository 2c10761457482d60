/** Tokens of another issuer, whose key set is fetched over real HTTP: OpenID Connect as it is used. */
import { once } from "node:events";
import { createServer } from "node:http";
import { exportJWK, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Judge } from "../../../gateway/auth/authenticate.ts";
import { judgeIssuers } from "../../../gateway/auth/issuers.ts";
import { AppError } from "../../../schemas/errors.ts";
import { readIssuers } from "../../../schemas/issuers.ts";
import { limits } from "../../../schemas/limits.ts";

const now = 1_800_000_000_000;
const audience = "colloquy";
const shown: { keys: JWK[]; status: number; asked: number } = { keys: [], status: 200, asked: 0 };
const server = createServer((_, response) => {
  shown.asked += 1;
  response.statusCode = shown.status;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ keys: shown.keys }));
});
let url = "";
beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  url = typeof address === "object" && address !== null ? `http://127.0.0.1:${address.port}` : "";
});
afterAll(() => void server.close());

const newKey = async (kid: string, alg: string) => {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { alg, kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: "sig" } };
};
type Key = Awaited<ReturnType<typeof newKey>>;
let key: Key;
let judge: Judge;
beforeEach(async () => {
  key = await newKey("one", "RS256");
  Object.assign(shown, { keys: [key.jwk], status: 200, asked: 0 });
  judge = judgeIssuers(
    readIssuers([
      {
        ...{ issuer: url, audience, jwks: `${url}/keys`, tenant: "acme" },
        ...{ algorithms: ["RS256", "ES256", "EdDSA"], roleClaim: "realm.roles" },
        roles: { boss: "admin", reader: "viewer" },
      },
      { issuer: `${url}/many`, audience, jwks: `${url}/keys`, tenantClaim: "org" },
    ]),
  );
});

interface Said {
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  readonly by?: Key;
  readonly iss?: string;
  readonly aud?: string;
  readonly exp_s?: number;
}
const token = ({ claims = {}, header = {}, by = key, iss = url, aud, exp_s = 60 }: Said = {}) =>
  new SignJWT({ sub: "ann", ...claims })
    .setProtectedHeader({ alg: by.alg, kid: by.kid, ...header })
    .setIssuer(iss)
    .setAudience(aud ?? audience)
    .setExpirationTime(now / 1000 + exp_s)
    .sign(by.privateKey);
const identityOf = async (given: string, at = now) => {
  const judged = judge(given, at);
  return judged !== null && "judge" in judged ? judged.judge() : judged;
};
const codeOf = async (given: string, at = now): Promise<unknown> => {
  try {
    return (await identityOf(given, at)) === null ? "not an issuer's" : "accepted";
  } catch (error) {
    return error instanceof AppError ? error.code : error;
  }
};

test("I10: a token names its user; tenant and role are what was configured", async () => {
  const given = await token({ claims: { realm: { roles: ["reader", "boss", "x"] } } });
  expect(await identityOf(given)).toEqual({
    ...{ tenant: "acme", user: "ann", role: "admin", expires_ms: now + 60_000 },
    ...{ session: null, key: null, scopes: null },
  });
  const many = await identityOf(await token({ iss: `${url}/many`, claims: { org: "zeta" } }));
  expect(many).toMatchObject({ tenant: "zeta", role: "member" });
  for (const by of [await newKey("two", "ES256"), await newKey("three", "EdDSA")]) {
    shown.keys.push(by.jwk);
    judge = judgeIssuers(
      readIssuers([
        { issuer: url, audience, jwks: url, tenant: "acme", algorithms: ["ES256", "EdDSA"] },
      ]),
    );
    expect(await codeOf(await token({ by }))).toBe("accepted");
  }
});

test("I10: hostile tokens are refused", async () => {
  const evil = await newKey("one", "RS256");
  const secret = new TextEncoder().encode(JSON.stringify(key.jwk));
  const confused = new SignJWT({ sub: "ann" })
    .setProtectedHeader({ alg: "HS256", kid: "one" })
    .setIssuer(url)
    .setAudience(audience)
    .setExpirationTime(now / 1000 + 60)
    .sign(secret);
  const unsigned = new UnsecuredJWT({ sub: "ann" }).setIssuer(url).setAudience(audience);
  const curve = await newKey("curve", "ES256");
  shown.keys.push(curve.jwk);
  const hostile: readonly Promise<string>[] = [
    token({ aud: "another" }),
    // A key of the issuer's own, of an algorithm that was not configured: RS256 alone is.
    token({ by: curve, iss: `${url}/many`, claims: { org: "zeta" } }),
    token({ by: evil }),
    token({ by: evil, header: { jku: `${url}/evil`, jwk: evil.jwk } }),
    token({ header: { crit: ["b64"], b64: true } }),
    token({ header: { kid: "unknown" } }),
    token({ claims: { nbf: now / 1000 + 600 } }),
    token({ claims: { sub: "a b" } }),
    // An account's id: no issuer speaks for accounts.
    token({ claims: { sub: "0b5e7c52-4c52-8c52-8c52-0b5e7c520b5e" } }),
    token({ iss: `${url}/many` }),
    token({ iss: `${url}/many`, claims: { org: "accounts" } }),
    token({ iss: `${url}/many`, claims: { org: "../acme" } }),
    confused,
    Promise.resolve(unsigned.setExpirationTime(now / 1000 + 60).encode()),
    token().then((good) => `${good.slice(0, -8)}AAAAAAAA`),
  ];
  for (const given of await Promise.all(hostile)) {
    expect(await codeOf(given), given).toBe("unauthenticated");
  }
  expect(await codeOf(await token({ exp_s: -1 }))).toBe("token_expired");
  expect(await codeOf(await token({ iss: "https://elsewhere.example" }))).toBe("not an issuer's");
});

test("a key that is new at the issuer is fetched, one that is gone is believed no longer", async () => {
  expect(await codeOf(await token())).toBe("accepted");
  const next = await newKey("next", "RS256");
  shown.keys = [next.jwk];
  const old = await token();
  // Aside, for those who come later.
  expect(await codeOf(old, now + limits.issuer_keys_kept_ms)).toBe("token_expired");
  await expect.poll(() => shown.asked).toBe(2);
  await expect
    .poll(async () => codeOf(await token({ by: next })), { interval: 5 })
    .toBe("accepted");
  expect(await codeOf(old)).toBe("unauthenticated");
});

test("an issuer that is down is told as such, and disturbs nobody whose key is known", async () => {
  shown.status = 500;
  expect(await codeOf(await token())).toBe("unavailable");
  shown.status = 200;
  expect(await codeOf(await token())).toBe("accepted");
  shown.status = 500;
  expect(await codeOf(await token())).toBe("accepted");
  const later = now + 2 * limits.issuer_keys_kept_ms;
  const given = await token({ exp_s: 4_000 });
  expect(await codeOf(given, later)).toBe("accepted");
  expect(await codeOf(given, later + limits.issuer_keys_kept_ms)).toBe("accepted");
});

test("what is configured wrongly is said in a sentence", () => {
  const good = { issuer: "https://a.example", audience, jwks: "https://a.example/k" };
  for (const [value, why] of [
    ["no list", "is a JSON list of issuers"],
    [[{ ...good, tenant: "acme", algorithms: ["HS256"] }], "is a JSON list of issuers"],
    [[{ ...good, tenant: "accounts" }], "is a JSON list of issuers"],
    [[{ ...good, jwks: "http://a.example/k", tenant: "acme" }], "a jwks with https"],
    [[{ ...good, jwks: "http://127.0.0.1.a.example/k", tenant: "acme" }], "a jwks with https"],
    [[{ ...good, jwks: "http://localhost@a.example/k", tenant: "acme" }], "a jwks with https"],
    [[good], "one of tenant and tenantClaim"],
    [[{ ...good, tenant: "acme", tenantClaim: "org" }], "one of tenant and tenantClaim"],
    [
      [good, { ...good, issuer: "https://b.example" }].map((one) => ({ ...one, tenant: "acme" })),
      "two issuers",
    ],
  ] as const) {
    expect(() => readIssuers(value)).toThrow(why);
  }
});
