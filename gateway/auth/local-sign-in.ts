/**
 * Signs the page's visitor in by itself when Colloquy is embedded: only for a peer on loopback that
 * names a loopback host (a page that rebinds its own name to 127.0.0.1 names another), and only for
 * a page of this very origin. A proxy on the same machine comes by loopback, too, and brings strangers:
 * whatever tells of one refuses. One that says nothing of itself cannot be told from the visitor
 * (docs/SECURITY.md). Everybody else learns nothing.
 */
import { AppError } from "../../schemas/errors.ts";
import type { LocalSignIn } from "../../schemas/http.ts";
import { issueAccessToken } from "./access-token.ts";
import type { Exchange } from "../http/exchange.ts";
import type { GatewayPorts } from "../ports.ts";

/** What is looked at of a request. */
type Asking = Pick<Exchange, "peer" | "header">;

const ttl_s = 24 * 60 * 60;
const loopback_hosts: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

export const isLoopback = (address: string): boolean =>
  /^127\./.test(address) ||
  /^(0000:){7}0001$/.test(address) ||
  /^(0000:){5}ffff:7f[0-9a-f]{2}:/.test(address) ||
  address === "::1";

/** What proxies write; a browser does not. */
const proxy_headers = [
  ...["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"],
  ...["x-forwarded-port", "x-forwarded-server", "x-real-ip", "cf-connecting-ip"],
] as const;

function isLocal(exchange: Asking): boolean {
  const host = exchange.header("host");
  if (!isLoopback(exchange.peer) || !loopback_hosts.has(host.replace(/:\d+$/, ""))) return false;
  const origin = exchange.header("origin");
  const site = exchange.header("sec-fetch-site");
  return (
    (origin === "" || origin === `http://${host}` || origin === `https://${host}`) &&
    (site === "" || site === "same-origin" || site === "none") &&
    proxy_headers.every((name) => exchange.header(name) === "")
  );
}

/** Throws `not_found` when this visitor cannot be signed in by himself. */
export function localSignIn(
  exchange: Asking,
  ports: Pick<GatewayPorts, "local" | "ring" | "clock" | "trustedProxies">,
): LocalSignIn {
  // Whoever names his proxies has some in front, and the visitor is not who he seems.
  const direct = ports.trustedProxies.length === 0 && isLocal(exchange);
  if (ports.local === null || !direct) throw new AppError("not_found");
  const { tenant, user } = ports.local;
  const who = { tenant, user, role: "member" } as const;
  const accessToken = issueAccessToken(ports.ring, who, ttl_s, ports.clock.now());
  return { accessToken, tenant, user, expiresIn: ttl_s };
}
