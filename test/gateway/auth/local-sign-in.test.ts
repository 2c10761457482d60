/** Who is signed in without being asked who he is: the visitor at the machine itself, nobody else. */
import { expect, test } from "vitest";
import { openKeyRing } from "../../../gateway/auth/key-ring.ts";
import { localSignIn } from "../../../gateway/auth/local-sign-in.ts";
import { AppError } from "../../../schemas/errors.ts";
import { systemClock } from "../../../schemas/ids.ts";

const embedded = {
  local: { tenant: "main", user: "you" },
  ring: openKeyRing({ secrets: [new Uint8Array(32).fill(1)] }),
  clock: systemClock,
  trustedProxies: [] as string[],
};

interface Visitor {
  readonly peer?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The user, or the code of the refusal. */
function visit({ peer = "127.0.0.1", headers = {} }: Visitor, ports = embedded): string {
  const all: Readonly<Record<string, string>> = { host: "127.0.0.1:8080", ...headers };
  try {
    return localSignIn({ peer, header: (name) => all[name] ?? "" }, ports).user;
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
}

test.each<[string, Visitor]>([
  ["a program on the machine", {}],
  ["the page", { headers: { origin: "http://127.0.0.1:8080", "sec-fetch-site": "same-origin" } }],
  ["by name", { headers: { host: "localhost:8080", origin: "http://localhost:8080" } }],
  ["over IPv6", { peer: "0000:0000:0000:0000:0000:0000:0000:0001", headers: { host: "[::1]:80" } }],
])("I10: is signed in: %s", (_who, visitor) => {
  expect(visit(visitor)).toBe("you");
});

test.each<[string, Visitor]>([
  ["another machine", { peer: "192.168.1.7" }],
  ["a page that rebinds its name", { headers: { host: "evil.example:8080" } }],
  ["a name that only looks local", { headers: { host: "localhost.evil.example" } }],
  ["a page of another origin", { headers: { origin: "http://evil.example" } }],
  ["a page of another port", { headers: { origin: "http://127.0.0.1:9090" } }],
  ["a page in a sandbox", { headers: { origin: "null" } }],
  ["another site, without an origin", { headers: { "sec-fetch-site": "cross-site" } }],
  ["whoever a proxy brings", { headers: { "x-forwarded-for": "203.0.113.9" } }],
  ["whoever another proxy brings", { headers: { "x-real-ip": "203.0.113.9" } }],
  ["whoever a proxy with a name brings", { headers: { via: "1.1 caddy" } }],
])("I10: learns nothing: %s", (_who, visitor) => {
  expect(visit(visitor)).toBe("not_found");
});

test("I10: with proxies in front, or servers of one's own, nobody is", () => {
  expect(visit({}, { ...embedded, trustedProxies: ["127.0.0.1"] })).toBe("not_found");
  const { ring, clock, trustedProxies } = embedded;
  const exchange = { peer: "127.0.0.1", header: () => "127.0.0.1" };
  expect(() => localSignIn(exchange, { local: null, ring, clock, trustedProxies })).toThrow(
    AppError,
  );
});
