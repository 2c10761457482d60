/** Signatures of who a command is by: an ordinary JWT, and nothing else passes for one (I10). */
import { SignJWT, UnsecuredJWT, jwtVerify } from "jose";
import { expect, test } from "vitest";
import { issueAccessToken } from "../../gateway/auth/access-token.ts";
import { openKeyRing } from "../../gateway/auth/key-ring.ts";
import { systemIds } from "../../schemas/ids.ts";
import { bySigner } from "../../streams/queue/by.ts";

const secret = new Uint8Array(32).fill(1);
const signer = bySigner(secret);
const ann = { type: "user", id: "ann@example.org" } as const;
const command = systemIds();
const header = { alg: "HS256", typ: "colloquy-by+jwt" };

test("I10: a signature says who, for one command of one tenant", () => {
  const token = signer.sign(ann, "acme", command);
  expect(signer.verify(token, "acme", command)).toEqual({ by: ann, manages: false });
  const managed = signer.sign(ann, "acme", command, true);
  expect(signer.verify(managed, "acme", command)).toEqual({ by: ann, manages: true });
  expect(signer.verify(token, "zeta", command)).toBeNull();
  expect(signer.verify(token, "acme", systemIds())).toBeNull();
  expect(bySigner(new Uint8Array(32)).verify(token, "acme", command)).toBeNull();
});

test("a secret that is being replaced is believed, and does not sign", () => {
  const next = bySigner(new Uint8Array(32).fill(2), [secret]);
  expect(next.verify(signer.sign(ann, "acme", command), "acme", command)).toMatchObject({
    by: ann,
  });
  expect(signer.verify(next.sign(ann, "acme", command), "acme", command)).toBeNull();
});

test("it is a JWT to others, and theirs is one to us", async () => {
  const token = signer.sign(ann, "acme", command);
  const { payload, protectedHeader } = await jwtVerify(token, secret, { audience: "acme" });
  expect(payload).toEqual({ by: ann, cmd: command, aud: "acme" });
  expect(protectedHeader).toEqual(header);
  const theirs = new SignJWT({ by: ann, cmd: command }).setAudience("acme");
  const signed = await theirs.setProtectedHeader(header).sign(secret);
  expect(signer.verify(signed, "acme", command)).toEqual({ by: ann, manages: false });
});

test("I10: forged, unsigned, otherwise signed and odd tokens are refused", async () => {
  const token = signer.sign(ann, "acme", command);
  const [first = "", second = "", third = ""] = token.split(".");
  const claims = { by: ann, cmd: command, aud: "acme" };
  const jwt = (more: object, protectedHeader = header, key = secret): Promise<string> =>
    new SignJWT({ ...claims, ...more }).setProtectedHeader(protectedHeader).sign(key);
  const who = { tenant: "acme", user: "ann", role: "member" } as const;
  for (const odd of [
    "",
    "..",
    `${first}.${second}`,
    `${first}.${second}.`,
    `${first}.${second}.${third.slice(0, -4)}`,
    `${first}.${Buffer.from(JSON.stringify(claims)).toString("base64url")}x.${third}`,
    `${token}.more`,
    new UnsecuredJWT(claims).encode(),
    issueAccessToken(openKeyRing({ secrets: [secret] }), who, 60, Date.now()),
    await jwt({}, { ...header, typ: "JWT" }),
    await jwt({}, { ...header, alg: "HS512" }, new Uint8Array(64).fill(1)),
    await jwt({ by: { type: "root", id: "ann" } }),
    await jwt({ by: "ann" }),
  ]) {
    expect(signer.verify(odd, "acme", command)).toBeNull();
  }
});
