/** The page's files as the server hands them out: path → type and bytes. */
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
}

export function pageFiles(): Map<string, PageFile> {
  const files = new Map<string, PageFile>();
  const read = (path: string): string => readFileSync(join(root, path), "utf8");
  const put = (path: string, type: string, text: string): void =>
    void files.set(path, { type, bytes: Buffer.from(text) });
  for (const name of readdirSync(join(root, "web"))) {
    if (name.endsWith(".ts")) {
      const code = stripTypeScriptTypes(read(`web/${name}`));
      const served = code.replaceAll(/(from\s+"\.\/[^"]+)\.ts"/g, '$1.js"');
      put(`/web/${name.slice(0, -3)}.js`, "text/javascript; charset=utf-8", served);
    } else if (name.endsWith(".css"))
      put(`/web/${name}`, "text/css; charset=utf-8", read(`web/${name}`));
  }
  put("/", "text/html; charset=utf-8", read("web/index.html"));
  put("/favicon.svg", "image/svg+xml", read("web/favicon.svg"));
  const marked = read("node_modules/marked/lib/marked.esm.js");
  put("/web/vendor/marked.js", "text/javascript; charset=utf-8", marked);
  return files;
}
