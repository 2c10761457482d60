/** Content keys in and out of an export: wrapped as they lie in the vault, and the marks of erased ones. */
import { join } from "node:path";
import { Kvm } from "@nats-io/kv";
import { archivedKey, type Manifest } from "../../schemas/archive.ts";
import { parseJson } from "../../schemas/validate.ts";
import { read } from "../proof/scan.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { keys_bucket } from "../topology.ts";
import { master_probe, opensWith } from "../content/vault.ts";
import { endings, linesOf, openFile } from "./files.ts";

interface Key {
  readonly name: string;
  /** base64; null for one that was erased. */
  readonly wrapped: string | null;
}

/** Every key of the vault, in the order in which they were made. Throws `AppError("unavailable")`. */
async function readKeys(streams: Streams, take: (key: Key) => void): Promise<void> {
  const stream = `KV_${keys_bucket}`;
  const prefix = `$KV.${keys_bucket}.`;
  try {
    const { state } = await streams.tracked(streams.jsm.streams.info(stream));
    if (state.messages === 0) return;
    const all = { from: 1, to: state.last_seq, filter: null };
    await read(streams, stream, all, (_, subject, data, { headers }) => {
      const erased = (headers?.get("KV-Operation") ?? "") !== "";
      const wrapped = erased ? null : Buffer.from(data).toString("base64");
      take({ name: subject.slice(prefix.length), wrapped });
    });
  } catch (cause) {
    throw unavailable("The content keys cannot be read", cause);
  }
}

/** Writes the keys of the commits that were exported, and the proof of their master key. */
export async function exportKeys(
  streams: Streams,
  folder: string,
  manifest: Manifest,
): Promise<NonNullable<Manifest["keys"]>> {
  const { tenant, compression, last } = manifest;
  const file = await openFile(folder, `keys-${last.sequence}${endings[compression]}`, compression);
  let keys = 0;
  await readKeys(streams, (key) => {
    if (tenant !== null && key.name !== master_probe && !key.name.startsWith(`${tenant}.`)) return;
    if (key.name !== master_probe) keys += 1;
    file.put(JSON.stringify(key));
  });
  const { path, sha256 } = await file.finish();
  return { path, keys, sha256 };
}

/** How many keys there are beside the proof of the master key. */
export async function countKeys(streams: Streams): Promise<number> {
  let keys = 0;
  await readKeys(streams, ({ name }) => (keys += name === master_probe ? 0 : 1));
  return keys;
}

/**
 * Puts the keys of an export into an empty vault. Throws `TypeError` with a sentence, before anything
 * is written, when they were wrapped by another master key.
 */
export async function importKeys(
  streams: Streams,
  folder: string,
  { keys, compression }: Manifest,
  masterKey: Uint8Array,
): Promise<number> {
  if (keys === null) return 0;
  const found: Key[] = [];
  for await (const line of linesOf(join(folder, keys.path), compression)) {
    const parsed = archivedKey.parse(parseJson(line));
    if (!parsed.ok)
      throw new TypeError(`${keys.path} holds a line that is no key: ${parsed.problem}.`);
    found.push(parsed.value);
  }
  const probe = found.find(({ name }) => name === master_probe)?.wrapped ?? null;
  if (probe !== null && !opensWith(masterKey, master_probe, Buffer.from(probe, "base64"))) {
    throw new TypeError(
      "The content keys of this export were wrapped by another master key: give the one of the installation that it is of (COLLOQUY_MASTER_KEY, or the file master-key of its data folder).",
    );
  }
  try {
    const kv = await new Kvm(streams.js).open(keys_bucket, { allow_direct: false });
    for (const { name, wrapped } of found) {
      if (name === master_probe && (await kv.get(name)) !== null) continue;
      if (wrapped === null) await kv.purge(name);
      else await kv.put(name, Buffer.from(wrapped, "base64"));
    }
  } catch (cause) {
    throw unavailable("The content keys cannot be written", cause);
  }
  return found.filter(({ name }) => name !== master_probe).length;
}
