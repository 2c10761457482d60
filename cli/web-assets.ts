/**
 * The page's files as the gateway hands them out. Types are stripped when the process starts, so
 * there is no build step (docs/decisions/0002-plain-modules.md).
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import type { Asset } from "../gateway/ports.ts";

const root = join(import.meta.dirname, "..");
const javascript = "text/javascript; charset=utf-8";

/** URL path → asset. */
export function webAssets(): ReadonlyMap<string, Asset> {
  const assets = new Map<string, Asset>();
  const read = (path: string): string => readFileSync(join(root, path), "utf8");
  const put = (path: string, type: string, text: string): void => {
    const bytes = Buffer.from(text);
    const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
    assets.set(path, { type, bytes, etag });
  };
  for (const name of readdirSync(join(root, "web"))) {
    if (name.endsWith(".ts")) {
      const code = quietly(() => stripTypeScriptTypes(read(`web/${name}`)));
      const served = code.replaceAll(/(from\s+"\.\/[^"]+)\.ts"/g, '$1.js"');
      put(`/web/${name.slice(0, -".ts".length)}.js`, javascript, served);
    } else if (name.endsWith(".css")) {
      put(`/web/${name}`, "text/css; charset=utf-8", read(`web/${name}`));
    }
  }
  put("/", "text/html; charset=utf-8", read("web/index.html"));
  put("/favicon.svg", "image/svg+xml", read("web/favicon.svg"));
  put("/web/vendor/marked.js", javascript, read("node_modules/marked/lib/marked.esm.js"));
  return assets;
}

/** Node warns at the first use that stripping is experimental; this release pins its Node. */
function quietly<T>(call: () => T): T {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return call();
  } finally {
    process.emitWarning = emitWarning;
  }
}
