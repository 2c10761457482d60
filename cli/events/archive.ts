/**
 * `colloquy events export` and `import`: the log as files, and back into an empty system. An export is
 * recorded in the log of each tenant whose commits it holds.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { userInfo } from "node:os";
import { isTenant, systemIds, workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Exported, exportLog } from "../../streams/archive/export.ts";
import { checkExport, importLog } from "../../streams/archive/import.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import { openLog } from "../../streams/log/log.ts";
import { provision } from "../../streams/provision.ts";
import { startNatsServer } from "../../streams/server.ts";
import { openVault } from "../../streams/content/vault.ts";
import type { Arguments } from "../line/arguments.ts";
import { CliError } from "../line/cli-error.ts";
import { type Config, readConfig } from "../config.ts";
import { openDataFolder } from "../folder/data-folder.ts";
import { writeHead } from "../folder/head-file.ts";
import { openInstallation, pathOf } from "../folder/installation.ts";
import { secretsOf } from "../services.ts";
import { complain, say } from "../line/terminal.ts";
import { openProgress } from "./progress.ts";
import { wrong } from "./scope.ts";

/** What the rooms say in a `TypeError` is a sentence about the export. */
async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof TypeError) throw new CliError(error.message, 1, { cause: error });
    throw error;
  }
}

function folderOf(given: Arguments, verb: string): string {
  const [folder] = given.rest;
  return folder === undefined ? wrong(`${verb} needs the folder of the export.`) : resolve(folder);
}

export async function runExport(given: Arguments): Promise<number> {
  const folder = folderOf(given, "export");
  const tenant = given.value("tenant") ?? null;
  if (tenant !== null && !isTenant(tenant)) wrong("--tenant is a slug of a-z, 0-9 and -.");
  const keys = given.on("with-keys");
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const { secret } = secretsOf(config, config.get("NATS_URL") === null, pathOf(config));
  const { streams, close } = await openInstallation(config);
  const progress = openProgress(!given.on("json"));
  try {
    const exporting = exportLog(streams, { folder, tenant, keys, progress: progress.draw });
    const done = await told(exporting).finally(() => progress.end());
    await record(streams, secret, done, keys);
    const { manifest, commits } = done;
    const now = [...commits.values()].reduce((sum, count) => sum + count, 0);
    const wrapped = manifest.keys?.keys ?? null;
    if (given.on("json")) {
      const { last, files } = manifest;
      const all = { commits: manifest.commits, events: manifest.events, files: files.length };
      say(JSON.stringify({ written: now, ...all, last, keys: wrapped }));
    } else {
      say(
        `${now} commits were written; ${folder} holds ${manifest.commits}, up to ${manifest.last.sequence}.`,
      );
      say(
        wrapped === null
          ? "Content keys are not in it."
          : `${wrapped} content keys are in it, wrapped.`,
      );
    }
    return 0;
  } finally {
    await close();
  }
}

/** Says in the log of every tenant concerned that its commits were exported, and by whom. */
async function record(
  streams: Streams,
  secret: Uint8Array,
  { from, to, commits }: Exported,
  keys: boolean,
): Promise<void> {
  const operator = userInfo().username.slice(0, 128) || "operator";
  const { publish } = commandPublisher(streams, secret);
  for (const [tenant, count] of commits) {
    await publish({
      ...{ ref: workspaceRef(tenant), name: "record-export", id: systemIds() },
      data: { operator, from, to, commits: count, keys },
      by: { type: "system", id: "operator" },
      ...{ reply: null, traceparent: null },
    });
  }
}

export async function runImport(given: Arguments): Promise<number> {
  const folder = folderOf(given, "import");
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const manifest = await told(checkExport(folder));
  const path = pathOf(config);
  const embedded = config.get("NATS_URL") === null;
  const keyless =
    config.get("COLLOQUY_MASTER_KEY") === null && !existsSync(join(path, "master-key"));
  if (embedded && keyless && manifest.keys !== null) {
    throw new CliError(
      `The content keys of this export are wrapped: put the master key of its installation into ${join(path, "master-key")}, or give it as COLLOQUY_MASTER_KEY.`,
    );
  }
  const { streams, close } = await emptySystem(config, path);
  const progress = openProgress(!given.on("json"));
  try {
    const { masterKey } = secretsOf(config, embedded, path);
    const options = { folder, masterKey, progress: progress.draw };
    const { commits, keys } = await told(importLog(streams, manifest, options)).finally(() =>
      progress.end(),
    );
    const vault = await openVault(streams, masterKey);
    if (embedded) await writeHead(path, openLog(streams, vault));
    if (given.on("json")) say(JSON.stringify({ commits, keys, last: manifest.last }));
    else say(`${commits} commits and ${keys} content keys were imported.`);
    if (manifest.keys === null) {
      complain(
        "The export holds no content keys: what people wrote cannot be read in this system.",
      );
    }
    return 0;
  } finally {
    await close();
  }
}

/** A system to import into: the one that is configured, or a server on the data folder, made if need be. */
async function emptySystem(
  config: Config,
  path: string,
): Promise<{ streams: Streams; close(): Promise<void> }> {
  const url = config.get("NATS_URL");
  if (url !== null) {
    const streams = await connectStreams({ url, name: "colloquy import" });
    const replicas = streams.nc.info?.cluster === undefined ? 1 : 3;
    await provision(streams, { partitions: limits.partitions, replicas });
    return { streams, close: () => streams.close() };
  }
  const folder = openDataFolder(path);
  const ends: (() => Promise<void> | void)[] = [() => folder.release()];
  const close = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    // Nothing is lost by a power cut here: the export is still there.
    const options = { folder: path, port: 0, sync: "default", log: () => undefined } as const;
    const server = await startNatsServer(options);
    ends.push(async () => {
      await server.stop();
      server.before.forget();
    });
    const streams = await connectStreams({ url: server.url, name: "colloquy import" });
    ends.push(() => streams.close());
    await provision(streams, { partitions: limits.partitions_embedded, replicas: 1 });
    return { streams, close };
  } catch (error) {
    await close();
    throw error;
  }
}
