/**
 * Which pages may talk to this gateway: those of its own origin, and those of the allow-list. Programs
 * that are no browsers send no `Origin` and are not asked for one.
 */
import type { Exchange } from "./exchange.ts";

const exposed = [
  ...["X-Colloquy-Seq", "X-Colloquy-Version", "Location", "ETag", "Allow", "Retry-After"],
  ...["RateLimit", "RateLimit-Policy"],
].join(", ");
const accepted = [
  ...["Authorization", "Content-Type", "Accept", "Idempotency-Key", "If-Match", "If-None-Match"],
  ...["Last-Event-ID", "X-Colloquy-Seq", "traceparent"],
].join(", ");
/** Seconds for which a browser need not ask again. */
const preflight_s = "600";

/** Lets a listed origin read the answer to this request. */
export function letOriginRead(exchange: Exchange, origins: readonly string[]): void {
  const origin = exchange.header("origin");
  if (origin === "" || !origins.includes(origin)) return;
  exchange.common["Access-Control-Allow-Origin"] = origin;
  exchange.common["Access-Control-Expose-Headers"] = exposed;
}

/** Answers `OPTIONS`, a preflight or not: which methods this path has, none when there is no such path. */
export function answerOptions(
  exchange: Exchange,
  methods: readonly string[],
  origins: readonly string[],
): void {
  const allow = methods.join(", ");
  const headers: Record<string, string> = allow === "" ? {} : { Allow: allow };
  if (origins.includes(exchange.header("origin"))) {
    headers["Access-Control-Allow-Methods"] = allow;
    headers["Access-Control-Allow-Headers"] = accepted;
    headers["Access-Control-Max-Age"] = preflight_s;
  }
  exchange.answer({ status: 204, headers, body: null });
}

/**
 * Whether a WebSocket may be opened from here. Browsers let any page open one, with whatever the visitor
 * is known by, and no CORS holds them back: the server has to look (OWASP, cross-site hijacking).
 */
export function mayConnect(exchange: Exchange, origins: readonly string[]): boolean {
  const origin = exchange.header("origin");
  if (origin === "" || origins.includes(origin)) return true;
  const host = exchange.header("host");
  return host !== "" && (origin === `http://${host}` || origin === `https://${host}`);
}
