/** What a folder takes of the disk, and whether there is room for more. */
import { existsSync, readdirSync, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../line/cli-error.ts";

/** Bytes of a file, or of all files below a folder; 0 for nothing. */
export function bytesOf(path: string): number {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.size;
  return readdirSync(path).reduce((sum, name) => sum + bytesOf(join(path, name)), 0);
}

/** Throws `CliError` unless so many bytes are free where `path` lies. */
export function demandRoom(path: string, needed: number): void {
  const { bavail, bsize } = statfsSync(path);
  const free = bavail * bsize;
  if (free > needed) return;
  const mb = (bytes: number): number => Math.ceil(bytes / 1e6);
  throw new CliError(
    `This needs ${mb(needed)} MB beside ${path}, and ${mb(free)} MB are free; nothing was changed.`,
  );
}
