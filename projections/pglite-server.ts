/**
 * The embedded database as a supervised child in a process group of its own: it is started again on
 * the same port when it dies, so its URL stays true. Its folder holds nothing that the log does not
 * hold, so a folder that cannot be opened is moved aside (`<folder>.damaged-<n>`) and a new one is
 * begun; the runner then finds no checkpoint and projects from sequence 1.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { AppError } from "../schemas/errors.ts";
import { damaged_exit } from "./pglite-exit.ts";

export interface Pglite {
  /** Stays the same over restarts of the child. */
  readonly url: string;
  /** The child that runs now. */
  readonly pid: number;
  /** Resolves when it is stopped, or when it died so often that it is given up. */
  readonly exited: Promise<void>;
  /** Ends it cleanly; by force after `stop_ms`. Safe to call twice. */
  stop(): Promise<void>;
}

const child_file = fileURLToPath(new URL("./pglite-child.ts", import.meta.url));
/** A first start unpacks and initialises a cluster: 3 s on an idle machine. */
const start_ms = 60_000;
const stop_ms = 4_000;
/** Deaths within `window_ms` after which it is given up. */
const deaths_max = 10;
const window_ms = 60_000;

class Damaged extends Error {}

/** Holds the port of the one that serves the folder, so that other processes find it. */
export const portFile = (folder: string): string => `${folder}.port`;
export const pgliteUrl = (port: number): string =>
  `postgres://postgres@127.0.0.1:${port}/postgres?sslmode=disable`;

/** Starts it; `AppError("unavailable")` when not even an empty folder can be served. */
export async function startPglite(options: {
  folder: string;
  log: (line: string) => void;
}): Promise<Pglite> {
  const { folder, log } = options;
  let stopping = false;
  let child: ChildProcess;
  let port = 0;

  const start = async (): Promise<void> => {
    try {
      ({ child, port } = await launch(folder, port, log, (made) => (child = made)));
    } catch (error) {
      if (!(error instanceof Damaged) || stopping) throw error;
      const aside = moveAside(folder);
      log(`the database's folder was damaged (${error.message}); it is kept as ${aside}`);
      ({ child, port } = await launch(folder, port, log, (made) => (child = made)));
    }
  };

  try {
    await start();
  } catch (error) {
    throw new AppError("unavailable", `The embedded database does not start: ${String(error)}`, {
      cause: error,
    });
  }

  const supervise = async (): Promise<void> => {
    const deaths: number[] = [];
    while (!stopping) {
      const code = await gone(child);
      if (stopping) return;
      const now = performance.now();
      deaths.push(now);
      if (deaths.filter((at) => now - at < window_ms).length >= deaths_max) {
        log(`the database died ${deaths_max} times within a minute and is given up`);
        return;
      }
      log(`the database ended with ${code}; it is started again`);
      if (code === damaged_exit) log(`its folder is damaged and kept as ${moveAside(folder)}`);
      try {
        await start();
      } catch (error) {
        if (!stopping) log(`the database does not start again: ${String(error)}`);
        return;
      }
    }
  };
  const exited = supervise();

  return {
    url: pgliteUrl(port),
    get pid() {
      return child.pid ?? 0;
    },
    exited,
    async stop() {
      stopping = true;
      await end(child);
      await exited;
    },
  };
}

async function launch(
  folder: string,
  port: number,
  log: (line: string) => void,
  made: (child: ChildProcess) => void,
): Promise<{ child: ChildProcess; port: number }> {
  mkdirSync(dirname(folder), { recursive: true });
  const child = spawn(process.execPath, [child_file, folder, String(port)], {
    cwd: dirname(folder),
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    env: {},
  });
  // Whoever finds the port of one that is not there yet would meet somebody else.
  rmSync(portFile(folder), { force: true });
  // One that hangs outlives its parent: the next start finds it by this file.
  writeFileSync(`${folder}.pid`, `${child.pid ?? 0}\n`);
  made(child);
  let last = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (chunk: Buffer) => {
      last = (last + chunk.toString()).slice(-2_000);
      for (const line of chunk.toString().split("\n")) if (line !== "") log(line);
    });
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), start_ms);
  try {
    const ready = await Promise.race([
      once(child, "message").then(([message]: unknown[]) => message),
      gone(child).then((code) => {
        // The last line of a WASM abort says more than its stack.
        const why = last.trim().split("\n")[0] ?? "";
        throw code === damaged_exit || code === null ? new Damaged(why) : new Error(why);
      }),
    ]);
    if (typeof ready !== "object" || ready === null || !("port" in ready)) {
      throw new TypeError("the database's child said something else than its port");
    }
    writeFileSync(portFile(folder), `${Number(ready.port)}\n`);
    return { child, port: Number(ready.port) };
  } finally {
    clearTimeout(timer);
  }
}

/** The exit code, null when a signal ended it. */
async function gone(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
  }
  return child.exitCode;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill("SIGKILL"), stop_ms);
  child.kill("SIGTERM");
  await gone(child);
  clearTimeout(timer);
}

function moveAside(folder: string): string {
  for (let n = 1; ; n++) {
    const aside = `${folder}.damaged-${n}`;
    if (existsSync(aside)) continue;
    if (existsSync(folder)) renameSync(folder, aside);
    return aside;
  }
}
