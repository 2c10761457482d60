/** Whose address a request counts by, whatever its sender writes. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { clientAddresses, isNetwork } from "../../gateway/limits/address.ts";

test("without trusted proxies only the peer counts", () => {
  const of = clientAddresses([]);
  expect(of("203.0.113.9", "198.51.100.1, 127.0.0.1")).toBe("203.0.113.9");
});

test("X-Forwarded-For counts as far as trusted proxies wrote it", () => {
  const of = clientAddresses(["10.0.0.0/8", "127.0.0.1", "2001:db8:1::/48"]);
  expect(of("10.1.2.3", "198.51.100.7")).toBe("198.51.100.7");
  expect(of("10.1.2.3", "1.1.1.1, 198.51.100.7, 10.9.9.9")).toBe("198.51.100.7");
  expect(of("10.1.2.3", "198.51.100.7:50123")).toBe("198.51.100.7");
  // Not from a proxy: what it says is its own invention.
  expect(of("203.0.113.9", "198.51.100.7")).toBe("203.0.113.9");
  expect(of("10.1.2.3", "")).toBe("10.1.2.3");
  expect(of("10.1.2.3", "nonsense")).toBe("10.1.2.3");
  expect(of("2001:db8:1::5", "[2001:db8:ffff:1:2:3:4:5]:443")).toBe("2001:db8:ffff:1::/64");
});

test("one IPv6 network is one address, and IPv4 has one form", () => {
  const of = clientAddresses(["127.0.0.1"]);
  const native = "2001:0db8:0001:0002:0000:0000:0000:0007";
  expect(of(native, "")).toBe("2001:db8:1:2::/64");
  expect(of("2001:db8:1:2:ffff::1", "")).toBe("2001:db8:1:2::/64");
  expect(of("::1", "")).toBe("0:0:0:0::/64");
  expect(of("0000:0000:0000:0000:0000:ffff:cb00:7109", "")).toBe("203.0.113.9");
  // A trusted proxy that comes over a socket for both.
  expect(of("0000:0000:0000:0000:0000:ffff:7f00:0001", "203.0.113.9")).toBe("203.0.113.9");
});

test("a sender cannot choose an address, and nothing that he writes fails", () => {
  const of = clientAddresses(["10.0.0.1"]);
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6()), fc.ipV4(), (written, real) => {
      fc.pre(real !== "10.0.0.1");
      expect(of(real, written)).toBe(real);
      expect(of("10.0.0.1", `${written}, ${real}`)).toBe(real);
    }),
  );
});

test.each([
  ["10.0.0.0/8", true],
  ["127.0.0.1", true],
  ["::1", true],
  ["2001:db8::/32", true],
  ["10.0.0.0/33", false],
  ["10.0.0/8", false],
  ["proxy", false],
  ["10.0.0.0/8/8", false],
  ["::/", false],
])("%s is a network: %s", (text, expected) => expect(isNetwork(text)).toBe(expected));
