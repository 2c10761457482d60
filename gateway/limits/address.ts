/**
 * Whose address a request is counted by. `X-Forwarded-For` counts only as far as trusted proxies
 * wrote it: it is read from the right, and the first address that is no trusted proxy's is the
 * client's; what stands left of that is whatever the client liked to write. One network of IPv6
 * (a /64, what one household or machine is given) counts as one address.
 */
import { BlockList, isIPv4, isIPv6, SocketAddress } from "node:net";

/** The last four groups of an IPv6 address that stands for an IPv4 one. */
const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/;

/** An address in its one form: IPv4 dotted, IPv6 shortened; null when it is none. */
export function addressOf(text: string): string | null {
  if (isIPv4(text)) return text;
  const bare = text.replace(/^\[|\](:\d+)?$/g, "").replace(/%.*$/, "");
  if (isIPv6(bare)) {
    const { address } = new SocketAddress({ address: bare, family: "ipv6" });
    return mapped.exec(address)?.[1] ?? address;
  }
  // Some proxies write the port, too.
  const host = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1];
  return host !== undefined && isIPv4(host) ? host : null;
}

/** What is counted: an IPv4 address, or the /64 of an IPv6 one. */
function counted(address: string): string {
  if (isIPv4(address)) return address;
  const [left = "", right] = address.split("::");
  const before = left === "" ? [] : left.split(":");
  const after = right === undefined || right === "" ? [] : right.split(":");
  const zeros = right === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...Array.from({ length: zeros }, () => "0"), ...after];
  return `${groups.slice(0, 4).join(":")}::/64`;
}

/** Whether `text` names an address or a network in CIDR form. */
export function isNetwork(text: string): boolean {
  const [address = "", bits, ...more] = text.split("/");
  const most = isIPv4(address) ? 32 : isIPv6(address) ? 128 : -1;
  if (most < 0 || more.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most);
}

/** Gives the address that a request counts for, from its peer's and its `X-Forwarded-For`. */
export function clientAddresses(
  trusted: readonly string[],
): (peer: string, forwarded: string) => string {
  const proxies = new BlockList();
  for (const network of trusted) {
    const [address = "", bits] = network.split("/");
    const family = isIPv4(address) ? "ipv4" : "ipv6";
    proxies.addSubnet(address, Number(bits ?? (family === "ipv4" ? 32 : 128)), family);
  }
  const isProxy = (address: string): boolean =>
    trusted.length > 0 && proxies.check(address, isIPv4(address) ? "ipv4" : "ipv6");
  return (peer, forwarded) => {
    // A peer without an address has come by another way than TCP.
    let client = addressOf(peer) ?? "0.0.0.0";
    const hops = forwarded === "" ? [] : forwarded.split(",");
    while (hops.length > 0 && isProxy(client)) {
      const next = addressOf(hops.pop()?.trim() ?? "");
      // Written by a proxy that we trust, so it is broken and not forged: the proxy counts.
      if (next === null) break;
      client = next;
    }
    return counted(client);
  };
}
