/**
 * The servers that Colloquy runs on: those that the configuration names, else embedded ones in the
 * data folder. What was started here is stopped here, the servers last.
 */
import type { KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { FairQueue } from "../cache/fair-queue.ts";
import { type Database, connectDatabase } from "../projections/postgres.ts";
import { startPglite } from "../projections/pglite-server.ts";
import { type KeyRing, openKeyRing, readSigningKey } from "../gateway/auth/key-ring.ts";
import { systemClock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { BeforeStart } from "../streams/proof/before-start.ts";
import { connectStreams, type Streams } from "../streams/connection.ts";
import { startNatsServer } from "../streams/server.ts";
import { CliError } from "./line/cli-error.ts";
import type { Config } from "./config.ts";
import type { KeyName } from "./config/keys.ts";
import { lookAtStart, refuseDamage } from "./folder/head-file.ts";
import { type DataFolder, endOrphans, folderSecret, openDataFolder } from "./folder/data-folder.ts";

export interface Services {
  /** Null when every server is somebody else's. */
  readonly folder: DataFolder | null;
  readonly embedded: { readonly nats: boolean; readonly database: boolean };
  readonly streams: Streams;
  readonly database: Database;
  readonly secret: Uint8Array;
  readonly ring: KeyRing;
  readonly masterKey: Uint8Array;
  readonly partitions: number;
  readonly replicas: 1 | 3;
  /** Looks whether the embedded log is whole, when its server was started again in the meantime. */
  lookAtLog(): Promise<void>;
  /** Resolves with a sentence when an embedded server has ended for good by itself. */
  readonly failed: Promise<string>;
  stop(): Promise<void>;
}

/** Throws `CliError` and `AppError` with one sentence; nothing is left running then. */
export async function openServices(config: Config, log: (line: string) => void): Promise<Services> {
  const natsUrl = config.get("NATS_URL");
  const databaseUrl = config.get("DATABASE_URL");
  const embedded = { nats: natsUrl === null, database: databaseUrl === null };
  const path = resolve(config.get("COLLOQUY_DATA") ?? ".colloquy");
  const ends: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const folder = embedded.nats || embedded.database ? openDataFolder(path) : null;
    if (folder !== null) {
      ends.push(() => folder.release());
      await endOrphans(path, log);
    }
    const secrets = secretsOf(config, embedded.nats, path);
    let fail: (sentence: string) => void = () => undefined;
    const failed = new Promise<string>((tell) => (fail = tell));
    // Side by side: the database takes most of the time.
    const nats = natsUrl === null ? startNats(config, path, log) : null;
    const pglite =
      databaseUrl === null ? startPglite({ folder: join(path, "postgres"), log }) : null;
    const [natsStarted, pgliteStarted] = await Promise.allSettled([nats, pglite]);
    for (const started of [natsStarted, pgliteStarted]) {
      if (started.status === "fulfilled" && started.value !== null) {
        const server = started.value;
        ends.push(() => server.stop());
      }
    }
    if (natsStarted.status === "rejected") throw natsStarted.reason;
    if (pgliteStarted.status === "rejected") throw pgliteStarted.reason;
    void natsStarted.value?.exited.then(() => fail("The embedded NATS server has ended."));
    void pgliteStarted.value?.exited.then(() => fail("The embedded database has ended."));

    const streams = await connectStreams({
      url: natsUrl ?? natsStarted.value?.url ?? "",
      name: "colloquy",
    });
    ends.push(() => streams.close());
    let looked: BeforeStart | null = null;
    const lookAtLog = async (): Promise<void> => {
      const before = natsStarted.value?.before ?? null;
      if (before === null || before === looked) return;
      await lookAtStart(streams, before);
      looked = before;
    };
    if (embedded.nats) {
      await lookAtLog();
      refuseDamage(path);
    }
    const reads = new FairQueue(systemClock, limits.reads_waiting_per_tenant_max);
    const database = await connectDatabase(databaseUrl ?? pgliteStarted.value?.url ?? "", {
      inTurn: (tenant, work) => reads.run(tenant, work, limits.reads_waiting_ms),
    });
    ends.push(() => database.close());
    return {
      ...{ folder, embedded, streams, database, failed, lookAtLog, stop },
      ...secrets,
      partitions: embedded.nats ? limits.partitions_embedded : limits.partitions,
      replicas: streams.nc.info?.cluster === undefined ? 1 : 3,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startNats(config: Config, folder: string, log: (line: string) => void) {
  const port = config.get("COLLOQUY_NATS_PORT") ?? 0;
  const sync = config.get("COLLOQUY_NATS_SYNC") ?? "always";
  try {
    return await startNatsServer({ folder, port, sync, log });
  } catch (cause) {
    const taken = cause instanceof Error && cause.message.includes("port taken");
    if (!taken) throw cause;
    throw new CliError(
      `Port ${port} is taken by another program, and the embedded NATS server needs it; name another with COLLOQUY_NATS_PORT (0 takes a free one).`,
      1,
      { cause },
    );
  }
}

/** The secrets: configured, or of the data folder when NATS is embedded; and what signs tokens. */
export function secretsOf(
  config: Config,
  embedded: boolean,
  folder: string,
): { readonly secret: Uint8Array; readonly ring: KeyRing; readonly masterKey: Uint8Array } {
  const configured = config.get("COLLOQUY_SECRET");
  const masterKey = config.get("COLLOQUY_MASTER_KEY");
  if (!embedded && (configured === null || masterKey === null)) {
    const missing = configured === null ? "COLLOQUY_SECRET" : "COLLOQUY_MASTER_KEY";
    throw new CliError(
      `${missing} is required with NATS_URL: all processes of an installation share it (openssl rand -hex 32 makes one).`,
      2,
    );
  }
  const secret = configured ?? folderSecret(folder, "secret");
  return {
    secret,
    ring: ringOf(config, secret),
    masterKey: masterKey ?? folderSecret(folder, "master-key"),
  };
}

/** What signs access tokens, and what else is believed. Throws `CliError`. */
function ringOf(config: Config, secret: Uint8Array): KeyRing {
  const keyIn = (name: KeyName, path: string): KeyObject => {
    try {
      return readSigningKey(readFileSync(path, "utf8"));
    } catch (error) {
      // Of a file that cannot be read the system's code is enough; nothing quotes a key.
      const why = error instanceof TypeError ? error.message : "cannot be read";
      throw new CliError(`${name}: ${path} ${why}.`, 2);
    }
  };
  const path = config.get("COLLOQUY_SIGNING_KEY");
  const signing = path === null ? null : keyIn("COLLOQUY_SIGNING_KEY", path);
  if (signing?.type === "public") {
    throw new CliError("COLLOQUY_SIGNING_KEY: a public key cannot sign; name the private one.", 2);
  }
  const previous = (config.get("COLLOQUY_SIGNING_KEYS_PREVIOUS") ?? []).map((one) =>
    keyIn("COLLOQUY_SIGNING_KEYS_PREVIOUS", one),
  );
  const secrets = [secret, ...(config.get("COLLOQUY_SECRET_PREVIOUS") ?? [])];
  return openKeyRing({ secrets, signing, previous });
}
