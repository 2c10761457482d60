/**
 * The list of erasures: a file `erasures` in the data folder, outside of all that a backup brings
 * back, with one line for each actor whose content was erased: time, tenant, kind, id and the
 * sequence of its deletion. A line is on the disk before the erasure begins, and none is ever taken
 * out. Nothing in it is content.
 */
import { createHash } from "node:crypto";
import { existsSync, openSync, closeSync, fsyncSync, readFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { type ActorRef, isKind, isTenant, isUuid, refKey } from "../../schemas/ids.ts";
import type { Deletion } from "../../streams/content/erasure.ts";

const fileOf = (folder: string): string => join(folder, "erasures");

export interface ErasureList {
  /** Resolves when it is on the disk. */
  remember(erasure: Deletion): Promise<void>;
  /** Whether this process has remembered the actor's, not too long ago. */
  knows(ref: ActorRef): boolean;
}

/** Actors that a process knows to be on its list. */
const known_max = 10_000;

/** What stands in a list, and the numbers of lines that cannot be read: 1 is the first. */
export interface Listed {
  readonly erasures: readonly Deletion[];
  readonly unreadable: readonly number[];
}

/** `2026-11-21T11:00:00.000Z acme conversation <uuid> 1234` */
export const lineOf = ({ at, ref, sequence }: Deletion): string =>
  `${at} ${ref.tenant} ${ref.kind} ${ref.id} ${sequence}`;

export function openErasureList(folder: string): ErasureList {
  const file = fileOf(folder);
  const known = new Set<string>();
  let writing: Promise<void> = Promise.resolve();
  const write = async (line: string): Promise<void> => {
    const fresh = !existsSync(file);
    // A line that was torn by a crash ends here; its erasure had not begun.
    const before = fresh || readFileSync(file, "latin1").endsWith("\n") ? "" : "\n";
    await appendFile(file, `${before}${line}\n`, { mode: 0o600, flush: true });
    if (fresh) flushFolder(folder);
  };
  return {
    knows: (ref) => known.has(refKey(ref)),
    remember(erasure) {
      known.add(refKey(erasure.ref));
      if (known.size > known_max) for (const oldest of known) if (known.delete(oldest)) break;
      const written = writing.then(() => write(lineOf(erasure)));
      writing = written.catch(() => undefined);
      return written;
    },
  };
}

/** The bytes of a folder's list; empty without one. */
export function readErasures(folder: string): Buffer {
  const file = fileOf(folder);
  return existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
}

export function parseErasures(text: string): Listed {
  const erasures: Deletion[] = [];
  const unreadable: number[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const erasure = parseLine(line.trim());
    if (erasure === null) unreadable.push(index + 1);
    else erasures.push(erasure);
  }
  return { erasures, unreadable };
}

function parseLine(line: string): Deletion | null {
  const [at = "", tenant = "", kind = "", id = "", sequence = "", ...more] = line.split(" ");
  if (more.length > 0 || Number.isNaN(Date.parse(at))) return null;
  if (!isTenant(tenant) || !isKind(kind) || !isUuid(id)) return null;
  if (!/^\d{1,15}$/.test(sequence)) return null;
  return { ref: { tenant, kind, id }, at, sequence: Number(sequence) };
}

/** What the mark says of a list that was applied whole to a log that ended at `sequence`. */
export const markOf = (list: Buffer, sequence: number): string =>
  `${list.length} ${createHash("sha256").update(list).digest("hex")} ${sequence}`;

/**
 * How much of the list, in bytes, is known to be applied: all that the mark covers. None of it when
 * the list is another one, or the log has come back shorter.
 */
export function appliedOf(mark: string, list: Buffer, sequence: number): number {
  const [bytes = "", , marked = ""] = mark.split(" ");
  const length = Number(bytes);
  if (mark === "" || length > list.length || sequence < Number(marked)) return 0;
  return markOf(list.subarray(0, length), Number(marked)) === mark ? length : 0;
}

/** Those of `erasures` that `listed` does not name. */
export function missingIn(listed: readonly Deletion[], erasures: readonly Deletion[]): Deletion[] {
  const known = new Set(listed.map(({ ref }) => refKey(ref)));
  return erasures.filter(({ ref }) => !known.has(refKey(ref)));
}

/** A file that is new is only found after a crash when its folder was flushed, too. */
function flushFolder(folder: string): void {
  try {
    const opened = openSync(folder, "r");
    fsyncSync(opened);
    closeSync(opened);
  } catch {
    // Not every system lets a folder be flushed.
  }
}
