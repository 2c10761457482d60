/**
 * The database that a scenario measures: one of its own on the server that `DATABASE_URL` names, else a
 * private cluster from the machine's Postgres programs with its default settings, else PGlite. Each is
 * in a folder or a database of its own, and gone afterwards.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPglite } from "../projections/pglite-server.ts";
import { connectDatabase } from "../projections/postgres.ts";
import { pause } from "./figures.ts";
import { layCluster } from "./processes.ts";

export interface BenchDatabase {
  readonly url: string;
  /** Which it is, for whoever reads the figures. */
  readonly what: string;
  readonly dialect: "postgres" | "pglite";
  /** Of its first process; null when it is somebody else's. */
  readonly pid: number | null;
  stop(): Promise<void>;
}

/** The database that programs would use here. */
export async function startDatabase(): Promise<BenchDatabase> {
  const given = process.env["DATABASE_URL"] ?? "";
  if (given !== "") return ownDatabase(given);
  const programs = postgresPrograms();
  return programs === null ? startEmbedded() : startCluster(programs);
}

export async function startEmbedded(): Promise<BenchDatabase> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  layCluster(join(folder, "postgres"));
  const server = await startPglite({ folder: join(folder, "postgres"), log: () => undefined });
  return {
    ...{ url: server.url, what: "PGlite", dialect: "pglite", pid: server.pid },
    async stop() {
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** A new database beside what lies on somebody's server, dropped at the end. */
async function ownDatabase(given: string): Promise<BenchDatabase> {
  const name = `colloquy_bench_${crypto.randomUUID().slice(0, 8)}`;
  const outside = await connectDatabase(given);
  await outside.query(`CREATE DATABASE ${name}`);
  const url = new URL(given);
  url.pathname = `/${name}`;
  return {
    ...{ url: url.href, what: "the Postgres of DATABASE_URL", dialect: "postgres", pid: null },
    async stop() {
      await outside.query(`DROP DATABASE ${name} WITH (FORCE)`);
      await outside.close();
    },
  };
}

/** Debian's folder of Postgres programs, newest version; null where there is none. */
function postgresPrograms(): string | null {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).map(Number).filter(Number.isFinite) : [];
  const bins = versions.sort((one, other) => other - one).map((one) => join(root, `${one}/bin`));
  return bins.find((bin) => existsSync(join(bin, "initdb"))) ?? null;
}

const clusters = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of clusters) child.kill("SIGQUIT");
});

async function startCluster(programs: string): Promise<BenchDatabase> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  // The programs refuse to run as root, so root lends them Debian's own user for it.
  const as = process.getuid?.() === 0 ? account("postgres") : null;
  if (as !== null) chownSync(folder, as.uid, as.gid);
  const data = join(folder, "data");
  const init = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"];
  const made = spawnSync(join(programs, "initdb"), init, { cwd: folder, ...as });
  if (made.status !== 0) throw new Error(`initdb: ${made.stderr.toString()}`);
  const port = await freePort();
  const settings = ["-D", data, "-k", folder, "-p", `${port}`, "-c", "listen_addresses=127.0.0.1"];
  const child = spawn(join(programs, "postgres"), settings, {
    ...{ cwd: folder, stdio: "ignore", ...as },
  });
  clusters.add(child);
  const gone = once(child, "exit");
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  const version = await answering(url, gone);
  return {
    ...{ url, what: `a private Postgres ${version}, default settings`, dialect: "postgres" },
    pid: child.pid ?? null,
    async stop() {
      child.kill("SIGINT");
      await gone;
      clusters.delete(child);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves with the server's version once it answers. */
async function answering(url: string, gone: Promise<unknown>): Promise<string> {
  let ended = false;
  void gone.then(() => (ended = true));
  for (;;) {
    const database = await connectDatabase(url).catch(() => null);
    const [row] = (await database?.query("SHOW server_version").catch(() => [])) ?? [];
    await database?.close();
    if (row !== undefined) return String(row["server_version"]).split(" ")[0] ?? "";
    if (ended) throw new Error("the private Postgres has ended");
    await pause(50);
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  await once(probe, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

function account(user: string): { uid: number; gid: number } {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  const [, , uid, gid] = (lines.find((line) => line.startsWith(`${user}:`)) ?? "").split(":");
  if (uid === undefined) throw new Error(`there is no user ${user} to run Postgres as`);
  return { uid: Number(uid), gid: Number(gid) };
}
