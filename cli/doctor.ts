/**
 * `colloquy doctor`: looks at everything that a turn needs, a line each; exit code 1 when one fails.
 * With `--compact` it changes something instead (`folder/compact.ts`).
 */
import { constants, accessSync, statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { createConnection } from "node:net";
import type { Readiness } from "../schemas/http.ts";
import type { PartitionView } from "../schemas/ownership.ts";
import { connectDatabase } from "../projections/postgres.ts";
import { bypassesWall, lookAtWall } from "../projections/row-security.ts";
import { type Ownership, readOwnership } from "../streams/queue/ownership.ts";
import { type Arguments, data_flag } from "./line/arguments.ts";
import type { Deed } from "./line/command.ts";
import { runCompact } from "./folder/compact.ts";
import { type Config, readConfig } from "./config.ts";
import { readText } from "./folder/data-folder.ts";
import { liveOwner } from "./folder/folder-lock.ts";
import { runningStreams } from "./folder/installation.ts";
import { orphans, shares } from "./readiness.ts";
import { tokenFor } from "./token.ts";
import { printable, reason, say } from "./line/terminal.ts";

export const doctor: Deed = {
  summary: "looks at everything that a turn needs",
  flags: {
    compact: "rewrites the stopped data folder, so that no file of it holds what was erased",
    json: "for programs",
    ...data_flag,
  },
  run,
};

interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
  /** More of it: for programs as it is, for people a line each. */
  readonly partitions?: readonly PartitionView[];
  readonly lines?: readonly string[];
}

async function run(given: Arguments): Promise<number> {
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  if (given.on("compact")) return runCompact(config, given.on("json"));
  const findings: Finding[] = [];
  for (const look of [platform, dataFolder, secrets, servers, wall, provider, owners, running]) {
    findings.push(...(await look(config)));
  }
  if (given.on("json")) {
    const without = (key: string, value: unknown): unknown => (key === "lines" ? undefined : value);
    say(JSON.stringify(findings, without, 2));
  } else {
    for (const { check, ok, detail, lines = [] } of findings) {
      say(`${ok ? "ok  " : "FAIL"}  ${check}: ${detail}`);
      for (const line of lines) say(`        ${line}`);
    }
  }
  return findings.every(({ ok }) => ok) ? 0 : 1;
}

const found = (check: string, ok: boolean, detail: string): Finding => ({ check, ok, detail });

function platform(): Finding[] {
  const { version, platform: system, arch } = process;
  return [
    found("node", Number(version.slice(1).split(".")[0]) === 22, `${version} on ${system} ${arch}`),
  ];
}

function dataFolder(config: Config): Finding[] {
  if (config.get("NATS_URL") !== null && config.get("DATABASE_URL") !== null) return [];
  const path = resolve(config.get("COLLOQUY_DATA") ?? ".colloquy");
  try {
    const there = readText(`${path}/secret`) !== null;
    accessSync(there ? path : dirname(path), constants.W_OK);
    const { bavail, bsize } = statfsSync(there ? path : dirname(path));
    const free_mb = Math.floor((bavail * bsize) / 1_048_576);
    const detail = `${path}${there ? "" : " (not made yet)"}, ${free_mb} MB free`;
    return [found("data folder", free_mb >= 500, detail)];
  } catch (error) {
    return [found("data folder", false, reason(error))];
  }
}

function secrets(config: Config): Finding[] {
  const external = config.get("NATS_URL") !== null;
  if (!external) return [found("secrets", true, "of the data folder, unless configured")];
  const missing = (["COLLOQUY_SECRET", "COLLOQUY_MASTER_KEY"] as const).filter(
    (name) => config.get(name) === null,
  );
  return [
    found(
      "secrets",
      missing.length === 0,
      missing.length === 0 ? "configured" : `missing: ${missing.join(", ")}`,
    ),
  ];
}

async function servers(config: Config): Promise<Finding[]> {
  const urls = [
    ["NATS", config.get("NATS_URL"), 4222],
    ["Postgres", config.get("DATABASE_URL"), 5432],
  ] as const;
  return Promise.all(
    urls.map(async ([name, url, port]) => {
      if (url === null) return found(name, true, "embedded");
      const { hostname, port: named } = new URL(url);
      return reachable(name, hostname, named === "" ? port : Number(named));
    }),
  );
}

/** Whether the database itself keeps tenants apart (docs/decisions/0016); the embedded one always does. */
async function wall(config: Config): Promise<Finding[]> {
  const url = config.get("DATABASE_URL");
  if (url === null) return [];
  const check = "row security";
  try {
    const database = await connectDatabase(url, { name: "colloquy doctor" });
    try {
      const { whole, reader } = await lookAtWall(database);
      if (reader) {
        const later = "the next start of projections puts the read models behind it";
        return [found(check, true, whole ? "a tenant's queries run as colloquy_reader" : later)];
      }
      const remedy = "CREATE ROLE colloquy_reader NOLOGIN; GRANT colloquy_reader TO the user";
      if (await bypassesWall(database)) {
        return [found(check, false, `the database's user is bound by no policy: ${remedy}`)];
      }
      const how = whole ? "the database's user obeys by FORCE" : "not raised yet";
      return [found(check, true, `${how}; better, let an administrator say: ${remedy}`)];
    } finally {
      await database.close();
    }
  } catch (error) {
    return [found(check, false, reason(error))];
  }
}

async function provider(config: Config): Promise<Finding[]> {
  const url = config.get("OPENAI_BASE_URL");
  if (url === null) {
    const own = config.get("OPENAI_API_KEY") === null;
    return [found("model", true, own ? "built in; no provider is configured" : "OpenAI")];
  }
  const { hostname, port, protocol } = new URL(url);
  return [await reachable("model", hostname, Number(port) || (protocol === "https:" ? 443 : 80))];
}

const patience_ms = 3_000;

function reachable(check: string, host: string, port: number): Promise<Finding> {
  return new Promise((tell) => {
    const socket = createConnection({ host, port, timeout: patience_ms });
    const end = (ok: boolean, detail: string): void => {
      socket.destroy();
      tell(found(check, ok, detail));
    };
    socket.once("connect", () => end(true, `${host}:${port} answers`));
    socket.once("timeout", () => end(false, `${host}:${port} does not answer`));
    socket.once("error", (error) => end(false, `${host}:${port}: ${error.message}`));
  });
}

/** Who owns the partitions of the command queue, as its server knows it; nothing when none runs. */
async function owners(config: Config): Promise<Finding[]> {
  try {
    const streams = await runningStreams(config);
    if (streams === null) return [];
    try {
      return [partitionsOf(await readOwnership(streams))];
    } finally {
      await streams.close();
    }
  } catch (error) {
    return [found("partitions", false, reason(error))];
  }
}

function partitionsOf(ownership: Ownership): Finding {
  const { workers, partitions } = ownership;
  if (partitions.length === 0) return found("partitions", true, "not set up yet");
  const where = new Map(workers.map(({ id, where }) => [id, printable(where)]));
  const lines = shares(partitions, (id) => `worker ${id} (${where.get(id) || "somewhere"})`);
  const wrong = orphans(ownership);
  const fine = `${partitions.length}, of ${workers.length} worker${workers.length === 1 ? "" : "s"}`;
  return { ...found("partitions", wrong === null, wrong ?? fine), lines, partitions };
}

/** What the running gateway says of itself; nothing when none runs here. */
async function running(config: Config): Promise<Finding[]> {
  const owner = liveOwner(resolve(config.get("COLLOQUY_DATA") ?? ".colloquy"));
  const url = owner?.url ?? null;
  if (url === null) return [found("gateway", true, "none runs on this data folder")];
  try {
    const response = await fetch(`${url}/ready`, { signal: AbortSignal.timeout(patience_ms) });
    const { checks } = (await response.json()) as Readiness; // our own gateway's (schemas/http.ts)
    const token = tokenFor(config, {
      tenant: config.get("COLLOQUY_TENANT") ?? "main",
      user: "you",
      role: "member",
    });
    const list = await fetch(`${url}/api/v1/conversations?limit=1`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(patience_ms),
    });
    return [
      found("gateway", true, `${url}, process ${owner?.pid ?? 0}`),
      ...checks.map(({ name, ok, detail }) => found(name, ok, detail)),
      found("read models", list.ok, list.ok ? "answer" : `status ${list.status}`),
    ];
  } catch (error) {
    return [found("gateway", false, `${url}: ${reason(error)}`)];
  }
}
