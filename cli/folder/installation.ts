/**
 * An installation as a command finds it that serves nothing itself: the servers that the configuration
 * names, else the embedded ones of the process that holds the data folder, else some that are started
 * on the folder for as long as the command takes. Each is reached when it is first asked for.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pgliteUrl, portFile, startPglite } from "../../projections/pglite-server.ts";
import {
  connectDatabase,
  type Database,
  type DatabaseOptions,
} from "../../projections/postgres.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import { type Log, openLog } from "../../streams/log/log.ts";
import type { Access } from "../../streams/log/reader-aside.ts";
import { startNatsServer } from "../../streams/server.ts";
import { openVault, type Vault } from "../../streams/content/vault.ts";
import { CliError } from "../line/cli-error.ts";
import type { Config } from "../config.ts";
import { type DataFolder, endOrphans, openDataFolder, readText } from "./data-folder.ts";
import { lookAtStart } from "./head-file.ts";
import { liveOwner, type Owner } from "./folder-lock.ts";
import { secretsOf } from "../services.ts";

export interface Installation {
  readonly streams: Streams;
  /** Whether somebody may be there who takes commands. */
  readonly served: boolean;
  /** The log with its keys. Throws `AppError("unavailable")` for a wrong master key. */
  log(): Promise<{ readonly log: Log; readonly vault: Vault; readonly access: Access }>;
  /** The database; throws `AppError` or `CliError` when there is none. */
  database(options?: DatabaseOptions): Promise<Database>;
  close(): Promise<void>;
}

const name = "colloquy command";
/** The data folder that is meant, whether it is there or not. */
export const pathOf = (config: Config): string =>
  resolve(config.get("COLLOQUY_DATA") ?? ".colloquy");

/** Throws `CliError` or `AppError` with one sentence; nothing is left running then. */
export async function openInstallation(config: Config): Promise<Installation> {
  const path = pathOf(config);
  const ends: (() => Promise<void> | void)[] = [];
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const running = await runningStreams(config);
    const streams = running ?? (await ownStreams(path, ends));
    ends.push(() => streams.close());
    return {
      streams,
      served: running !== null,
      async log() {
        const { masterKey } = secretsOf(config, config.get("NATS_URL") === null, path);
        const vault = await openVault(streams, masterKey);
        const url = config.get("NATS_URL") ?? `nats://${streams.nc.getServer()}`;
        return { log: openLog(streams, vault), vault, access: { url, masterKey } };
      },
      async database(options = {}) {
        const url = config.get("DATABASE_URL") ?? (await pglite(path, ends));
        const database = await connectDatabase(url, { name, ...options });
        ends.push(() => database.close());
        return database;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The server that runs now; null when none does. Throws `AppError("unavailable")`, `CliError`. */
export async function runningStreams(config: Config): Promise<Streams | null> {
  const url = config.get("NATS_URL");
  if (url !== null) return connectStreams({ url, name });
  const path = pathOf(config);
  const owner = liveOwner(path);
  if (owner === null) return null;
  const port = readText(join(path, "nats", "port"));
  if (port === null) throw notYet(owner, path, "NATS server");
  return connectStreams({ url: `nats://127.0.0.1:${port}`, name });
}

/** A server of our own on a folder that nobody serves. */
async function ownStreams(path: string, ends: (() => Promise<void> | void)[]): Promise<Streams> {
  if (!existsSync(join(path, "nats"))) {
    throw new CliError(`There is no log in ${path}; name another data folder with --data.`);
  }
  await hold(path, ends);
  const server = await startNatsServer({ folder: path, port: 0, log: () => undefined });
  ends.push(() => server.stop());
  const streams = await connectStreams({ url: server.url, name });
  // The server tells once what it has dropped: to whoever starts it first.
  await lookAtStart(streams, server.before);
  return streams;
}

/** The URL of the folder's own database, started when nobody serves it. */
async function pglite(path: string, ends: (() => Promise<void> | void)[]): Promise<string> {
  const owner = liveOwner(path);
  const folder = join(path, "postgres");
  if (owner !== null && owner.pid !== process.pid) {
    const port = readText(portFile(folder));
    if (port === null) throw notYet(owner, path, "database");
    return pgliteUrl(Number(port));
  }
  if (owner === null) await hold(path, ends);
  const server = await startPglite({ folder, log: () => undefined });
  ends.push(() => server.stop());
  return server.url;
}

async function hold(path: string, ends: (() => Promise<void> | void)[]): Promise<DataFolder> {
  const folder = openDataFolder(path);
  ends.push(() => folder.release());
  await endOrphans(path, () => undefined);
  return folder;
}

const notYet = ({ pid }: Owner, path: string, what: string): CliError =>
  new CliError(`Process ${pid} holds ${path} and has no ${what} yet; try again.`);
