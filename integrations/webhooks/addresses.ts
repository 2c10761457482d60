/**
 * Which addresses a webhook may be posted to: those of the public internet alone, unless the operator
 * says otherwise, so that nobody reads our neighbours through us (SSRF). The address that was judged
 * is the one that is connected to: a name that is looked up twice could be another the second time.
 */
import type { LookupAddress } from "node:dns";
import { Resolver } from "node:dns/promises";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { callbackify } from "node:util";

/**
 * Everything that the registries of special addresses keep out of the public internet (RFC 6890), and
 * the services of clouds that have public addresses, but answer only those inside.
 */
const special = new BlockList();
for (const [net, bits] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  // Azure's platform (WireServer).
  ["168.63.129.16", 32],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const) {
  special.addSubnet(net, bits, "ipv4");
}
const global = new BlockList();
global.addSubnet("2000::", 3, "ipv6");
for (const [net, bits] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const) {
  special.addSubnet(net, bits, "ipv6");
}

/** Whether an IP address belongs to the public internet; what is no address does not. */
export function isPublicAddress(address: string): boolean {
  const bare = address.replace(/^\[|\]$/g, "");
  if (isIP(bare) === 4) return !special.check(bare, "ipv4");
  // An IPv4 address in another coat (mapped, NAT64, 6to4) is not among the global ones that are left.
  return isIP(bare) === 6 && global.check(bare, "ipv6") && !special.check(bare, "ipv6");
}

/**
 * The look-up of a connection: refuses a name as soon as one of its addresses is not public. It asks
 * the name servers itself, so the signal ends it: what the system looks up takes one of the few threads
 * that files and passwords wait for, too, as long as a name server that hangs likes, also when we end.
 */
export function publicLookup(
  signal: AbortSignal,
  /** Name servers, other than the machine's. */
  servers: readonly string[] | null = null,
): LookupFunction {
  return (hostname, options, callback) =>
    lookUp(hostname, signal, servers, (error, found) => {
      const [first] = found ?? [];
      if (first === undefined) callback(error ?? new UnknownName(), []);
      else if (options.all === true) callback(null, found);
      else callback(null, first.address, first.family);
    });
}

const lookUp = callbackify(publicAddresses);

/** Throws `UnknownName`, `PrivateAddress`. */
async function publicAddresses(
  hostname: string,
  signal: AbortSignal,
  servers: readonly string[] | null,
): Promise<LookupAddress[]> {
  // It needs no server to be what it is (RFC 6761), and not every server knows.
  if (/(^|\.)localhost\.?$/i.test(hostname)) throw new PrivateAddress();
  const resolver = new Resolver({ timeout: name_server_ms, tries: name_server_tries });
  if (servers !== null) resolver.setServers(servers);
  const cancel = (): void => resolver.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  const asked = [resolver.resolve4(hostname), resolver.resolve6(hostname)];
  const [four, six] = await Promise.allSettled(asked);
  signal.removeEventListener("abort", cancel);
  const found = [
    ...of(four).map((address) => ({ address, family: 4 })),
    ...of(six).map((address) => ({ address, family: 6 })),
  ];
  if (found.length === 0) throw new UnknownName();
  if (!found.every(({ address }) => isPublicAddress(address))) throw new PrivateAddress();
  return found;
}
const name_server_ms = 2_000;
const name_server_tries = 2;

const of = (settled: PromiseSettledResult<string[]> | undefined): readonly string[] =>
  settled?.status === "fulfilled" ? settled.value : [];

/** No name server knows an address of it. */
export class UnknownName extends Error {
  constructor() {
    super("the name has no address");
  }
}

/** The host is, or stands for, an address that is nobody's business outside. */
export class PrivateAddress extends Error {
  constructor() {
    super("the address is not public");
    this.name = "PrivateAddress";
  }
}
