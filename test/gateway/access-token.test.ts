import { SignJWT, UnsecuredJWT } from "jose";
import { describe, expect, test } from "vitest";
import { issueAccessToken, verifyAccessToken } from "../../gateway/access-token.ts";

const secret = new Uint8Array(32).fill(1);
const now = 1_800_000_000_000;
const ann = { tenant: "acme", user: "ann@example.org", role: "member" } as const;
const codeOf = (token: string, at = now): unknown => {
  try {
    verifyAccessToken(secret, token, at);
    return "accepted";
  } catch (error) {
    return error instanceof Error && "code" in error ? error.code : error;
  }
};
const signed = (claims: Record<string, unknown>, key = secret, alg = "HS256"): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg })
    .setExpirationTime(now / 1000 + 60)
    .sign(key);

describe("access tokens", () => {
  test("I10: a token names its tenant, user and role until it expires", async () => {
    const token = await issueAccessToken(secret, ann, 60, now);
    const expires_ms = now + 60_000;
    expect(verifyAccessToken(secret, token, now)).toEqual({ ...ann, expires_ms });
    expect(codeOf(token, expires_ms + 1_000)).toBe("token_expired");
  });

  test("I10: forged, unsigned, otherwise signed and odd tokens are refused", async () => {
    const claims = { sub: "ann", tenant: "acme", role: "member" };
    const other = new Uint8Array(32).fill(2);
    const long = new Uint8Array(64).fill(1);
    expect(codeOf(await signed(claims))).toBe("accepted");
    for (const token of [
      "",
      "a.b.c",
      await signed(claims, other),
      await signed(claims, long, "HS512"),
      new UnsecuredJWT(claims).setExpirationTime(now / 1000 + 60).encode(),
      await new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(secret),
      await signed({ ...claims, tenant: "acme.evil" }),
      await signed({ ...claims, tenant: "*" }),
      await signed({ ...claims, sub: "a b" }),
      await signed({ ...claims, role: "root" }),
      await signed({ sub: "ann" }),
      await signed({ ...claims, nbf: now / 1000 + 5 }),
      `${await signed(claims)}.more`,
    ]) {
      expect(codeOf(token)).toBe("unauthenticated");
    }
  });
});
