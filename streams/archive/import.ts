/**
 * Puts an export back into an empty system: every message with its very bytes and headers, at its very
 * sequence, so that chains, checkpoints and cursors that name it hold. Only the time that the server
 * notes of each is that of the import; a commit says itself when it was made.
 */
import { join } from "node:path";
import { headers } from "@nats-io/transport-node";
import type { Manifest } from "../../schemas/archive.ts";
import { logState } from "../proof/state.ts";
import { hashOf } from "../log/codec.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { countKeys, importKeys } from "./keys.ts";
import { linesOf } from "./files.ts";
import { fromLine, type Stored } from "./line.ts";
import { fileHash, readManifest } from "./manifest.ts";

export interface ImportOptions {
  readonly folder: string;
  readonly masterKey: Uint8Array;
  readonly progress?: (written: number, of: number) => void;
}

/** Messages on their way to the server. */
const window_max = 256;
const publish_ms = 30_000;

/** The manifest of an export that can be imported, its files checked. Throws `TypeError`, a sentence. */
export async function checkExport(folder: string): Promise<Manifest> {
  const manifest = await readManifest(folder);
  if (manifest === null) throw new TypeError(`${folder} holds no export.`);
  if (manifest.tenant !== null) {
    throw new TypeError(
      `${folder} holds the commits of tenant ${manifest.tenant} only: their sequences in the log have gaps, and a log without the others would not be the one that they name. Only a whole export can be imported.`,
    );
  }
  if (!manifest.complete) {
    throw new TypeError(`${folder} holds an export that was not finished: run it again.`);
  }
  for (const { path, sha256 } of [...manifest.files, ...(manifest.keys ? [manifest.keys] : [])]) {
    const found = await fileHash(join(folder, path)).catch(() => null);
    if (found !== null && found === sha256) continue;
    const why = found === null ? "is missing" : "is damaged: its hash is not that of the manifest";
    throw new TypeError(`${join(folder, path)} ${why}. Nothing was imported.`);
  }
  return manifest;
}

/** Resolves with what was imported. Throws `TypeError` with a sentence, `AppError("unavailable")`. */
export async function importLog(
  streams: Streams,
  manifest: Manifest,
  options: ImportOptions,
): Promise<{ readonly commits: number; readonly keys: number }> {
  const { folder, masterKey, progress } = options;
  const state = await logState(streams);
  const filled = (state?.last ?? 0) > 0 || (await countKeys(streams)) > 0;
  if (state === null || filled) {
    throw new TypeError("This system is not empty: an export is imported into a new one only.");
  }
  const keys = await importKeys(streams, folder, manifest, masterKey);
  let flying: Promise<void>[] = [];
  let commits = 0;
  let last = { sequence: 0, hash: "" };
  for await (const message of inOrder(folder, manifest)) {
    flying.push(put(streams, message));
    commits += 1;
    if (message.sequence === manifest.last.sequence) {
      last = { sequence: message.sequence, hash: hashOf(message.data) };
    }
    if (flying.length < window_max) continue;
    await Promise.all(flying);
    flying = [];
    progress?.(commits, manifest.commits);
  }
  await Promise.all(flying);
  if (last.sequence !== manifest.last.sequence || last.hash !== manifest.last.hash) {
    throw new TypeError(`${folder} does not end with the commit that its manifest names.`);
  }
  return { commits, keys };
}

/** All messages from sequence 1 on, out of the files of all tenants. */
async function* inOrder(folder: string, manifest: Manifest): AsyncGenerator<Stored> {
  const waiting = manifest.files.toSorted((a, b) => a.first - b.first);
  const open = new Map<number, { message: Stored; lines: AsyncGenerator<string>; path: string }>();
  const advance = async (lines: AsyncGenerator<string>, path: string): Promise<void> => {
    const next = await lines.next();
    if (next.done === true) return;
    try {
      const message = fromLine(next.value);
      open.set(message.sequence, { message, lines, path });
    } catch (error) {
      throw error instanceof TypeError ? new TypeError(`${path}: ${error.message}.`) : error;
    }
  };
  for (let sequence = 1; sequence <= manifest.last.sequence; sequence++) {
    for (let file = waiting[0]; file !== undefined && file.first <= sequence; file = waiting[0]) {
      waiting.shift();
      await advance(linesOf(join(folder, file.path), manifest.compression), file.path);
    }
    const next = open.get(sequence);
    if (next === undefined) throw new TypeError(`${folder} holds no commit ${sequence}.`);
    open.delete(sequence);
    yield next.message;
    await advance(next.lines, next.path);
  }
}

async function put(
  streams: Streams,
  { sequence, subject, headers: list, data }: Stored,
): Promise<void> {
  const made = headers();
  for (const [key, value] of list) made.append(key, value);
  let stored: { readonly seq: number; readonly duplicate: boolean };
  try {
    stored = await streams.tracked(
      streams.js.publish(subject, data, { headers: made, timeout: publish_ms }),
    );
  } catch (cause) {
    throw unavailable("The log cannot be written", cause);
  }
  if (stored.duplicate || stored.seq !== sequence) {
    throw new TypeError(
      `Commit ${sequence} was stored at ${stored.seq}: somebody else writes to this system. Remove it and import into a new one.`,
    );
  }
}
