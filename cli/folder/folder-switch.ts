/**
 * Puts what `doctor --compact` has made in the place of what was there. Everything new is made in
 * `compaction/` in the data folder; nothing outside of it is touched until a file `complete` says
 * that it is whole. From then on the switch only goes forward: whoever opens the folder next finishes
 * it. Without that file `compaction/` is the rest of an attempt, and is removed.
 *
 * The log itself is never rewritten: its folder is moved into the new store.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { storeOf } from "../../streams/server.ts";
import { events_stream } from "../../streams/topology.ts";

/** Where the new folders are made. */
export const workshopOf = (path: string): string => join(path, "compaction");
const completeOf = (path: string): string => join(workshopOf(path), "complete");

/** Declares that the new folders are whole; they and this must be on the disk when it returns. */
export function declareComplete(path: string): void {
  flushTree(workshopOf(path));
  const file = completeOf(path);
  closeSync(openSync(file, "w"));
  flush(file);
  flush(dirname(file));
}

/** Finishes a switch that was declared, and removes what an attempt has left. Safe to repeat. */
export function finishSwitch(path: string): void {
  const workshop = workshopOf(path);
  if (!existsSync(workshop)) return;
  if (existsSync(completeOf(path))) {
    const log = storeOf(path, events_stream);
    const fresh = storeOf(workshop, events_stream);
    if (existsSync(join(workshop, "nats")) && existsSync(log)) renameSync(log, fresh);
    for (const name of ["nats", "postgres"]) {
      if (!existsSync(join(workshop, name))) continue;
      if (existsSync(join(path, name))) renameSync(join(path, name), join(workshop, `old-${name}`));
      renameSync(join(workshop, name), join(path, name));
    }
    flush(path);
    flush(workshop);
  }
  rmSync(workshop, { recursive: true, force: true, maxRetries: 10 });
  flush(path);
}

function flushTree(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) flushTree(path);
    else if (entry.isFile()) flush(path);
  }
  flush(folder);
}

/** Not every system lets a folder be flushed; those that do not need it. */
function flush(path: string): void {
  try {
    const file = openSync(path, "r");
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : "";
    if (code !== "EISDIR" && code !== "EPERM" && code !== "EINVAL") throw error;
  }
}
