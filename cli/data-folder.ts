/**
 * The data folder of an embedded installation. It belongs to one live process at a time and can be
 * copied: nothing in it holds a path, and a lock counts only while the process that it names lives
 * and the folder is the one that was locked (a copy is another).
 */
import { randomBytes } from "node:crypto";
import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { CliError } from "./config.ts";
import { commandOf, endProcess, startedAt, worksIn } from "./processes.ts";
import { reason } from "./terminal.ts";

interface Owner {
  readonly pid: number;
  readonly started: string | null;
  /** The folder's device and inode. */
  readonly folder: string;
  /** Where its gateway listens, once it does. */
  readonly url: string | null;
}

export interface DataFolder {
  readonly path: string;
  /** Says where the gateway listens, so that other commands find it. */
  announce(url: string): void;
  release(): void;
}

const identity = (path: string): string => {
  const { dev, ino } = statSync(path);
  return `${dev}:${ino}`;
};

/** Makes the folder when it is missing and locks it. Throws `CliError` when it is in use. */
export function openDataFolder(path: string): DataFolder {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new CliError(`The data folder ${path} cannot be made: ${reason(cause)}.`, 1, { cause });
  }
  const file = join(path, "lock");
  const mine: Owner = {
    pid: process.pid,
    started: startedAt(process.pid),
    folder: identity(path),
    url: null,
  };
  const write = (to: string, owner: Owner): void => writeFileSync(to, `${JSON.stringify(owner)}\n`);
  const draft = join(path, `lock.${process.pid}`);
  write(draft, mine);
  try {
    while (!linked(draft, file)) {
      const owner = liveOwner(path);
      if (owner !== null) {
        throw new CliError(
          `The data folder ${path} is in use by process ${owner.pid}${owner.url === null ? "" : ` (${owner.url})`}; stop it, or name another folder with COLLOQUY_DATA.`,
        );
      }
      // Of two that find it dead only one can move it away.
      const dead = `${draft}.dead`;
      try {
        renameSync(file, dead);
      } catch {
        continue;
      }
      rmSync(dead, { force: true });
    }
  } finally {
    rmSync(draft, { force: true });
  }
  return {
    path,
    announce(url) {
      write(draft, { ...mine, url });
      renameSync(draft, file);
    },
    release: () => rmSync(file, { force: true }),
  };
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

/** Who holds the folder now; null when nobody does. */
export function liveOwner(path: string): Owner | null {
  try {
    // Written by `openDataFolder` alone; whatever else lies there names no live process.
    const owner = JSON.parse(readFileSync(join(path, "lock"), "utf8")) as Partial<Owner>;
    const { pid, started, folder, url } = owner;
    if (typeof pid !== "number" || typeof started !== "string" || folder !== identity(path)) {
      return null;
    }
    return startedAt(pid) === started ? { pid, started, folder, url: url ?? null } : null;
  } catch {
    return null;
  }
}

/** A killed process leaves its nats-server behind, which holds the store: it is ended first. */
export async function endOrphans(path: string, log: (line: string) => void): Promise<void> {
  const home = join(path, "nats");
  const pid = Number(readText(join(home, "nats.pid")));
  if (!Number.isSafeInteger(pid) || !commandOf(pid).includes("nats-server")) return;
  if (!worksIn(pid, home)) return;
  log(`ending process ${pid}, a nats-server that was left behind on this folder`);
  await endProcess(pid);
}

/** A secret of the folder, made when it is missing; only its owner may read it. */
export function folderSecret(path: string, name: string): Uint8Array {
  const file = join(path, name);
  const found = readText(file);
  if (found !== null) {
    if (!/^[0-9a-f]{64}$/.test(found)) {
      throw new CliError(`${file} is damaged: 64 hex digits should stand there.`);
    }
    return new Uint8Array(Buffer.from(found, "hex"));
  }
  const made = randomBytes(32);
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, `${made.toString("hex")}\n`, { mode: 0o600 });
  renameSync(draft, file);
  return new Uint8Array(made);
}

/** The text of a small file without its line end; null when it is missing. */
export function readText(file: string): string | null {
  try {
    return readFileSync(file, "utf8").trim();
  } catch {
    return null;
  }
}
