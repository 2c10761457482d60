/**
 * The data folder of an embedded installation. It belongs to one live process at a time and can be
 * copied: nothing in it holds a path, and a lock counts only while the process that it names lives
 * and the folder is the one that was locked (a copy is another).
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CliError } from "../line/cli-error.ts";
import { finishSwitch, workshopOf } from "./folder-switch.ts";
import { type FolderLock, lockFolder } from "./folder-lock.ts";
import { commandOf, endProcess, worksIn } from "./processes.ts";
import { reason } from "../line/terminal.ts";

export interface DataFolder extends FolderLock {
  readonly path: string;
}

/** Makes the folder when it is missing and locks it. Throws `CliError` when it is in use. */
export function openDataFolder(path: string): DataFolder {
  const lock = inFolder(path, () => lockFolder(path));
  if ("release" in lock) return { path, ...lock };
  throw new CliError(
    `The data folder ${path} is in use by process ${lock.pid}${lock.url === null ? "" : ` (${lock.url})`}; stop it, or name another folder with COLLOQUY_DATA.`,
  );
}

/** Does something in the folder, made when it is missing; `CliError` when the disk refuses. */
function inFolder<T>(path: string, work: () => T): T {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return work();
  } catch (cause) {
    throw new CliError(`The data folder ${path} cannot be used: ${reason(cause)}.`, 1, { cause });
  }
}

/**
 * A killed process leaves servers behind, which hold their stores: they are ended first. A compaction
 * that was interrupted is finished then, or forgotten.
 */
export async function endOrphans(path: string, log: (line: string) => void): Promise<void> {
  await endServers(path, log);
  await endServers(workshopOf(path), log);
  finishSwitch(path);
}

async function endServers(path: string, log: (line: string) => void): Promise<void> {
  for (const { name, pid_file, home } of [
    { name: "nats-server", pid_file: join("nats", "nats.pid"), home: "nats" },
    { name: "pglite-child", pid_file: "postgres.pid", home: "" },
  ]) {
    const pid = Number(readText(join(path, pid_file)));
    if (!Number.isSafeInteger(pid) || !commandOf(pid).includes(name)) continue;
    if (!worksIn(pid, join(path, home))) continue;
    log(`ending process ${pid}, a ${name} that was left behind on this folder`);
    await endProcess(pid);
  }
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
  inFolder(path, () => {
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, `${made.toString("hex")}\n`, { mode: 0o600 });
    renameSync(draft, file);
  });
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
