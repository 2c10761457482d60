/**
 * Who holds a data folder: one live process at a time. Files `lock.<n>`, of which the highest number
 * names the holder; whoever finds that one gone takes n + 1, which only one can do, and looks again
 * whether a higher one has come meanwhile. A released lock stays as a file that names nobody, so that
 * numbers never start over under the feet of a process that waits. (A single `lock` file that is
 * moved away when it is dead lost: 5 of 40 races had two owners, since what is moved away may be
 * the lock of a rival who was faster.)
 */
import {
  linkSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { startedAt } from "./processes.ts";

export interface Owner {
  readonly pid: number;
  readonly started: string;
  /** The folder's device and inode. */
  readonly folder: string;
  /** Where its gateway listens, once it does. */
  readonly url: string | null;
}

export interface FolderLock {
  announce(url: string): void;
  release(): void;
}

const identity = (path: string): string => {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
};

/** The lock of a folder that exists, or who holds it. */
export function lockFolder(path: string): FolderLock | Owner {
  const mine: Owner = {
    pid: process.pid,
    started: startedAt(process.pid) ?? "",
    folder: identity(path),
    url: null,
  };
  const draft = join(path, `lock-draft.${process.pid}`);
  for (;;) {
    const [highest = 0] = numbers(path);
    const owner = ownerOf(path, highest);
    if (owner !== null) return owner;
    const file = join(path, `lock.${highest + 1}`);
    writeFileSync(draft, JSON.stringify(mine));
    const taken = linked(draft, file);
    rmSync(draft, { force: true });
    if (!taken) continue;
    const [last, ...older] = numbers(path);
    if (last !== highest + 1) {
      rmSync(file, { force: true });
      continue;
    }
    for (const n of older) rmSync(join(path, `lock.${n}`), { force: true });
    const write = (text: string): void => {
      writeFileSync(draft, text);
      renameSync(draft, file);
    };
    return {
      announce: (url) => write(JSON.stringify({ ...mine, url })),
      release: () => write("{}"),
    };
  }
}

/** Who holds the folder now; null when nobody does. */
export function liveOwner(path: string): Owner | null {
  try {
    const [highest = 0] = numbers(path);
    return ownerOf(path, highest);
  } catch {
    return null;
  }
}

/** The numbers of the lock files, highest first. */
const numbers = (path: string): readonly number[] =>
  readdirSync(path)
    .flatMap((name) => /^lock\.(\d{1,15})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .toSorted((a, b) => b - a);

/** Null when it is gone, when its pid is another process now, and when the folder was copied. */
function ownerOf(path: string, n: number): Owner | null {
  try {
    // Written by `lockFolder` alone; whatever else lies there names no live process.
    const owner = JSON.parse(readFileSync(join(path, `lock.${n}`), "utf8")) as Partial<Owner>;
    const { pid, started, folder, url } = owner;
    if (typeof pid !== "number" || typeof started !== "string" || folder !== identity(path)) {
      return null;
    }
    return startedAt(pid) === started ? { pid, started, folder, url: url ?? null } : null;
  } catch {
    return null;
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}
