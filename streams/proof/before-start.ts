/**
 * The files of EVENTS as they lie before the embedded server opens them. Opening is not harmless: the
 * server cuts a block off at the first record that its checksum refuses, and when its index is not
 * of the last moment (a `kill -9`) and an older block cannot be unpacked, it removes the whole stream
 * (2.14, both reproduced). So they are kept aside until somebody has seen that the log is whole.
 */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { events_stream } from "../topology.ts";

export interface BeforeStart {
  /** Whether there was a log. */
  readonly log: boolean;
  /**
   * Bytes that the server cut off when it opened the log; it does not always say so itself. Not those
   * of a last record that was never written to its end, as a killed server leaves it: nobody was
   * told that it is stored.
   */
  cutBytes(): number;
  /** The log is whole: what was kept is not needed. */
  forget(): void;
  /** It is not, and `why` is a sentence: what was kept stays, and `damageOf` tells. */
  condemn(why: string): void;
}

const aside = "before-start";
/** What was kept of a log that is known to be damaged; who restores the server's folder removes it. */
export const damaged = "damaged";
const note = "why";
/** The server appends to the last block, and packs one when it has begun the next. */
const written_last = 2;

/** What is known to be wrong with the log in the server's folder `home`, as a sentence; or null. */
export function damageOf(home: string): string | null {
  const folder = join(home, damaged);
  if (!existsSync(folder)) return null;
  const file = join(folder, note);
  return existsSync(file) ? readFileSync(file, "utf8").trim() : "It was found damaged.";
}

/** `home` is the server's own folder. To be called when no server runs there. */
export function keepBeforeStart(home: string): BeforeStart {
  const store = join(home, "jetstream", "jetstream", "$G", "streams", events_stream);
  const folder = join(home, aside);
  const found = existsSync(store);
  const blocks = blocksOf(join(store, "msgs"));
  const last = blocks.at(-1);
  const torn_bytes = last === undefined ? 0 : tornBytes(readFileSync(last));
  const sizes = blocks.slice(-written_last).map((file) => [file, statSync(file).size] as const);
  const forget = (): void => rmSync(folder, { recursive: true, force: true });
  forget();
  // What was kept of a damaged log is not made worse by what the server has left of it.
  if (found && damageOf(home) === null) {
    try {
      keep(store, blocks, folder);
    } catch {
      // A file system without links, or a full one: then there is no second copy, and never was.
      forget();
    }
  }
  return {
    ...{ log: found, forget },
    cutBytes() {
      const cut = sizes.reduce((sum, [file, size]) => sum + Math.max(0, size - sizeOf(file)), 0);
      return cut === torn_bytes ? 0 : cut;
    },
    condemn(why) {
      if (damageOf(home) !== null) return;
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      writeFileSync(join(folder, note), `${why}\n`);
      renameSync(folder, join(home, damaged));
    },
  };
}

/** The block files, oldest first. */
function blocksOf(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .flatMap((name) => /^(\d+)\.blk$/.exec(name)?.[1] ?? [])
    .toSorted((a, b) => Number(a) - Number(b))
    .map((number) => join(folder, `${number}.blk`));
}

/** The size of a block, as far as one that is packed meanwhile has the same. */
function sizeOf(file: string): number {
  if (!existsSync(file)) return 0;
  const bytes = readFileSync(file);
  return bytes.subarray(0, packed.length).toString("latin1") === packed
    ? Number.POSITIVE_INFINITY
    : bytes.length;
}

/** Blocks that are complete are never written again, so a second name costs nothing. */
function keep(store: string, blocks: readonly string[], folder: string): void {
  mkdirSync(join(folder, "msgs"), { recursive: true, mode: 0o700 });
  const place = (file: string): string => join(folder, file.slice(store.length + 1));
  for (const block of blocks.slice(0, -written_last)) linkSync(block, place(block));
  const rest = ["meta.inf", "meta.sum", "msgs/index.db"].map((name) => join(store, name));
  for (const file of [...blocks.slice(-written_last), ...rest.filter((one) => existsSync(one))]) {
    copyFileSync(file, place(file));
  }
}

/** How a packed block begins. */
const packed = "cmp";
/** A record: length (4, its highest bit says "with headers"), sequence (8), time (8), subject's length (2) … */
const record_head_bytes = 22;
const headers_bit = 0x8000_0000;
/** … and at its end the checksum. */
const checksum_bytes = 8;
const record_bytes_max = 32 * 1024 * 1024;
const closing_brace = 0x7d;

/** The bytes of an unfinished record at the end of a block that is not packed. */
function tornBytes(block: Buffer): number {
  let at = 0;
  while (at + record_head_bytes <= block.length) {
    const bytes = block.readUInt32LE(at) & ~headers_bit;
    if (bytes < record_head_bytes + checksum_bytes || bytes > record_bytes_max) break;
    if (at + bytes > block.length) break;
    at += bytes;
  }
  const rest = block.subarray(at);
  if (rest.length === 0) return 0;
  if (rest.every((byte) => byte === 0)) return rest.length;
  // A commit that is there to its last byte is no unfinished one: its length is damaged.
  if (rest.at(-checksum_bytes - 1) === closing_brace) return 0;
  const begun =
    rest.length < record_head_bytes ? record_bytes_max : rest.readUInt32LE(0) & ~headers_bit;
  return begun > rest.length && begun <= record_bytes_max ? rest.length : 0;
}
