/**
 * An export's table of contents: which files there are, what each holds, and where the log stood. It is
 * the truth of the export: it is replaced as a whole when a segment is finished, and a file that it
 * does not name does not belong to it.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Manifest, manifest } from "../../schemas/archive.ts";
import { parseJson } from "../../schemas/validate.ts";

export const manifest_name = "manifest.json";

/** Null when there is none. Throws `TypeError` with a sentence when it is no manifest. */
export async function readManifest(folder: string): Promise<Manifest | null> {
  let text: string;
  try {
    text = await readFile(join(folder, manifest_name), "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
  const parsed = manifest.parse(parseJson(text));
  if (parsed.ok) return parsed.value;
  throw new TypeError(`${join(folder, manifest_name)} is no manifest: ${parsed.problem}.`);
}

export async function writeManifest(folder: string, written: Manifest): Promise<void> {
  const file = join(folder, manifest_name);
  await writeFile(`${file}.part`, `${JSON.stringify(written, null, 1)}\n`, { flush: true });
  await rename(`${file}.part`, file);
}

/** SHA-256 of a file, hex. */
export async function fileHash(path: string): Promise<string> {
  const sum = createHash("sha256");
  await pipeline(createReadStream(path), sum);
  return sum.digest("hex");
}
