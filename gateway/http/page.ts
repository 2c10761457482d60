/** The web app's files, with validators and the headers that keep a page to itself. */
import type { Exchange } from "./exchange.ts";
import type { Asset } from "../ports.ts";

const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const headers = {
  "Content-Security-Policy": policy,
  "X-Frame-Options": "DENY",
  "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
  "Cache-Control": "no-cache",
};

export function serveAsset(exchange: Exchange, asset: Asset): void {
  const known = exchange
    .header("if-none-match")
    .split(",")
    .map((tag) => tag.trim().replace(/^W\//, ""));
  const all = { ...headers, ETag: asset.etag };
  if (known.includes(asset.etag) || known.includes("*")) {
    return exchange.answer({ status: 304, headers: all, body: null });
  }
  exchange.answer({
    status: 200,
    headers: { ...all, "Content-Type": asset.type },
    body: asset.bytes,
  });
}
