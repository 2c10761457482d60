/**
 * The files of an export: lines, gathered and packed a frame at a time, so that those of many tenants
 * can grow side by side in bounded memory. A file has its name when it is finished and on the disk;
 * before that its name ends in `.part`.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { appendFile, mkdir, open, rename } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { createGunzip, createZstdDecompress, gzip, zstdCompress } from "node:zlib";
import type { ArchivedFile, Manifest } from "../../schemas/archive.ts";

type Compression = Manifest["compression"];

/** Text of one frame: what packs well, and what all files of a segment together wait with. */
const frame_chars = 1024 * 1024;
const gathered_chars_max = 64 * 1024 * 1024;

const pack = { zstd: promisify(zstdCompress), gzip: promisify(gzip) } as const;
export const endings = { zstd: ".jsonl.zst", gzip: ".jsonl.gz" } as const;
/** What this Node has. */
export const best_compression: Compression = typeof zstdCompress === "function" ? "zstd" : "gzip";

/** A file that is being written. */
interface Growing {
  put(line: string): void;
  /** Characters that wait to be packed, and bytes that were. */
  readonly chars: number;
  readonly bytes: number;
  flush(): Promise<void>;
  /** Gives it its name. */
  finish(): Promise<{ readonly path: string; readonly bytes: number; readonly sha256: string }>;
}

/** `path` is below `folder` and has the compression's ending. What a killed export left there goes. */
export async function openFile(
  folder: string,
  path: string,
  compression: Compression,
): Promise<Growing> {
  const file = join(folder, path);
  const draft = `${file}.part`;
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  await (await open(draft, "w", 0o600)).close();
  const sum = createHash("sha256");
  let lines: string[] = [];
  let chars = 0;
  let bytes = 0;
  const flush = async (): Promise<void> => {
    if (chars === 0) return;
    const text = lines.join("");
    lines = [];
    chars = 0;
    const frame = await pack[compression](text);
    sum.update(frame);
    bytes += frame.length;
    await appendFile(draft, frame);
  };
  return {
    get chars() {
      return chars;
    },
    get bytes() {
      return bytes;
    },
    put(line) {
      lines.push(line, "\n");
      chars += line.length + 1;
    },
    flush,
    async finish() {
      await flush();
      const handle = await open(draft, "r+");
      await handle.sync();
      await handle.close();
      await rename(draft, file);
      return { path, bytes, sha256: sum.digest("hex") };
    },
  };
}

/** The files of one stretch of the log within one day, a tenant each. */
export interface Segment {
  readonly day: string;
  readonly commits: number;
  readonly bytes: number;
  put(tenant: string, sequence: number, events: number, line: string): Promise<void>;
  finish(): Promise<ArchivedFile[]>;
}

export function openSegment(folder: string, day: string, compression: Compression): Segment {
  interface Part {
    readonly file: Growing;
    readonly first: number;
    last: number;
    commits: number;
    events: number;
  }
  const parts = new Map<string, Part>();
  let commits = 0;
  const sum = (of: "chars" | "bytes"): number =>
    [...parts.values()].reduce((total, { file }) => total + file[of], 0);
  return {
    day,
    get commits() {
      return commits;
    },
    get bytes() {
      return sum("bytes");
    },
    async put(tenant, sequence, events, line) {
      let part = parts.get(tenant);
      if (part === undefined) {
        const path = `${tenant}/${day}-${String(sequence).padStart(12, "0")}${endings[compression]}`;
        const file = await openFile(folder, path, compression);
        part = { file, first: sequence, last: sequence, commits: 0, events: 0 };
        parts.set(tenant, part);
      }
      part.file.put(line);
      part.last = sequence;
      part.commits += 1;
      part.events += events;
      commits += 1;
      if (part.file.chars < frame_chars) return;
      await part.file.flush();
      if (sum("chars") < gathered_chars_max) return;
      for (const { file } of parts.values()) await file.flush();
    },
    async finish() {
      const files: ArchivedFile[] = [];
      for (const [tenant, { file, ...counts }] of parts) {
        files.push({ tenant, day, ...counts, ...(await file.finish()) });
      }
      return files;
    },
  };
}

/** The lines of a finished file. Throws when it cannot be unpacked or breaks off. */
export async function* linesOf(path: string, compression: Compression): AsyncGenerator<string> {
  const unpack = compression === "zstd" ? createZstdDecompress() : createGunzip();
  const source = createReadStream(path);
  source.on("error", (error) => unpack.destroy(error));
  let begun: Buffer[] = [];
  try {
    // A stream of bytes yields buffers; its type says less.
    for await (const chunk of source.pipe(unpack) as AsyncIterable<Buffer>) {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        yield Buffer.concat([...begun, chunk.subarray(from, end)]).toString();
        begun = [];
        from = end + 1;
      }
      if (from < chunk.length) begun.push(chunk.subarray(from));
    }
    if (begun.length > 0) throw new TypeError(`${path} breaks off in a line.`);
  } finally {
    source.destroy();
  }
}
