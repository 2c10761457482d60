/**
 * Halves what a start costs: what was made of a module's text is kept beside the packages, its
 * JavaScript and what the engine compiled of it, so that the next start only reads. To be loaded
 * before every other module, which then goes through here.
 *
 * What is kept is of exactly that text and that Node, else it is made anew. It lies in node_modules,
 * where nobody may write who could not change the program anyway; where it cannot be written, a start
 * takes as long as it did.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { enableCompileCache, registerHooks, stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const kept = join(import.meta.dirname, "../node_modules/.cache/colloquy", process.version);

const ours = (url: string): boolean =>
  url.startsWith("file:") && url.endsWith(".ts") && !url.includes("/node_modules/");

/** The JavaScript of a module of ours: every character stays in its place, so errors name its lines. */
function javascriptOf(url: string): string {
  const source = readFileSync(fileURLToPath(url), "utf8");
  const head = `//${createHash("sha256").update(source).digest("hex")}\n`;
  const file = join(kept, createHash("sha256").update(url).digest("hex").slice(0, 32));
  const known = read(file);
  if (known?.startsWith(head)) return known.slice(head.length);
  const made = stripped(source);
  if (keeping) keep(file, head + made);
  return made;
}

function read(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}

/** Node would warn on stderr, once, that the function is young; it is what Node itself goes through. */
function stripped(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** Whole or not at all: many may start at once. */
function keep(file: string, text: string): void {
  const part = `${file}.${process.pid}`;
  try {
    writeFileSync(part, text, { flag: "wx" });
    renameSync(part, file);
  } catch {
    // No room, or no right: the next would fail as well.
    keeping = false;
    if (existsSync(part)) rmSync(part);
  }
}

let keeping = true;
try {
  mkdirSync(kept, { recursive: true });
} catch {
  keeping = false;
}
enableCompileCache(kept);
registerHooks({
  resolve(specifier, context, next) {
    const { parentURL } = context;
    const plain = specifier.startsWith(".") && /\.(?:ts|mjs)$/.test(specifier);
    if (!plain || !parentURL?.startsWith("file:")) return next(specifier, context);
    return { url: new URL(specifier, parentURL).href, format: "module", shortCircuit: true };
  },
  load(url, context, next) {
    if (ours(url)) return { format: "module", source: javascriptOf(url), shortCircuit: true };
    if (!url.startsWith("file:") || !url.endsWith(".mjs")) return next(url, context);
    const source = readFileSync(fileURLToPath(url), "utf8");
    return { format: "module", source, shortCircuit: true };
  },
});
