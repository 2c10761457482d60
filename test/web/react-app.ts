/** The React example of docs/CLIENTS.md as it stands there, bundled for a page of the gateway. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "vite";
import type { Asset } from "../../gateway/ports.ts";

const root = join(import.meta.dirname, "../..");
const main = join(root, "main.js");
const chat = join(root, "chat.jsx");

/** Where the page stands; behind `#` the chat's id. It takes its token from `localStorage.token`. */
export const app_path = "/app";

const code = `
import { createElement } from "react";
import { createRoot } from "react-dom/client";
import { Chat } from ${JSON.stringify(chat)};
const props = { id: decodeURIComponent(location.hash.slice(1)), token: localStorage.token };
createRoot(document.querySelector("main")).render(createElement(Chat, props));
`;

const html = `<!doctype html><meta charset="utf-8"><title>useChat</title><main></main>
<script type="module" src="${app_path}.js"></script>`;

const asset = (type: string, text: string): Asset => ({
  type,
  bytes: Buffer.from(text),
  etag: `"${createHash("sha256").update(text).digest("hex")}"`,
});

/** The page's files, to be served by a gateway. */
export async function reactApp(): Promise<ReadonlyMap<string, Asset>> {
  const page = readFileSync(join(root, "docs/CLIENTS.md"), "utf8");
  const example = /```jsx\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  const files = new Map([
    [main, code],
    [chat, example],
  ]);
  const built = await build({
    ...{ configFile: false, logLevel: "error", root, mode: "production" },
    build: { write: false, minify: false, rolldownOptions: { input: main } },
    plugins: [
      {
        name: "docs",
        enforce: "pre",
        resolveId: (id) => (files.has(id) ? id : null),
        load: (id) => files.get(id) ?? null,
      },
    ],
  });
  const outputs = (Array.isArray(built) ? built : [built]).flatMap((one) =>
    "output" in one ? one.output : [],
  );
  const bundle = outputs.flatMap((one) => (one.type === "chunk" ? [one.code] : [])).join("\n");
  return new Map([
    [app_path, asset("text/html; charset=utf-8", html)],
    [`${app_path}.js`, asset("text/javascript; charset=utf-8", bundle)],
  ]);
}
