/**
 * The system under test, every part a process of its own on 127.0.0.1: a NATS server that has every
 * commit on disk before it acknowledges it, Postgres (the machine's, else the embedded one), the
 * scripted provider, a gateway, two workers and a projector. All share one folder for their logs.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { issueAccessToken } from "../../gateway/auth/access-token.ts";
import { openKeyRing } from "../../gateway/auth/key-ring.ts";
import { startPglite } from "../../projections/pglite-server.ts";
import { limits } from "../../schemas/limits.ts";
import { colloquy } from "../system/serve.ts";
import { freePort, natsBinary, postgresBinaries, startPostgres } from "../support/services.ts";
import { type Process, processOf } from "./process.ts";

const root = join(import.meta.dirname, "../..");

export const part_names = [
  "nats",
  "provider",
  "projections",
  "actors-1",
  "actors-2",
  "gateway",
] as const;
export type PartName = (typeof part_names)[number];

export interface User {
  readonly tenant: string;
  readonly user: string;
}

export interface Database {
  readonly url: string;
  /** "postgres" or "pglite". */
  readonly kind: string;
  stop(): Promise<void>;
}

export interface System {
  readonly url: string;
  readonly natsUrl: string;
  readonly databaseUrl: string;
  readonly databaseKind: string;
  readonly secret: Uint8Array;
  readonly masterKey: Uint8Array;
  readonly part: (name: PartName) => Process;
  token(who: User): Promise<string>;
  /** Runs a command of the program on it, to its end. */
  colloquy(words: readonly string[]): ReturnType<typeof colloquy>;
  /** Resolves when `/ready` answers 200; tells what it says until then. */
  ready(said: (what: string) => void): Promise<void>;
  stop(): Promise<void>;
}

/** A database server in a folder of its own: of the machine where it has one. */
export async function startDatabase(folder: string): Promise<Database> {
  if (postgresBinaries() !== null) {
    const postgres = await startPostgres();
    return { url: postgres.url, kind: "postgres", stop: () => postgres.stop() };
  }
  const pglite = await startPglite({ folder, log: () => undefined });
  return { url: pglite.url, kind: "pglite", stop: () => pglite.stop() };
}

/** Starts all of it; `died` is told of a process that ended by itself. */
export async function startSystem(folder: string, died: (why: string) => void): Promise<System> {
  const database = await startDatabase(join(folder, "postgres"));
  const [natsPort, providerPort, gatewayPort] = [
    await freePort(),
    await freePort(),
    await freePort(),
  ];
  const natsUrl = `nats://127.0.0.1:${natsPort}`;
  const natsHome = join(folder, "nats");
  mkdirSync(natsHome);
  writeFileSync(join(natsHome, "nats.conf"), natsSettings(natsPort));
  const secret = randomBytes(32).toString("hex");
  const masterKey = randomBytes(32);
  const env = {
    NATS_URL: natsUrl,
    DATABASE_URL: database.url,
    OPENAI_BASE_URL: `http://127.0.0.1:${providerPort}/v1`,
    COLLOQUY_MODEL: "scripted-1",
    COLLOQUY_SECRET: secret,
    // Its talkers say more in a second than a person may in a minute.
    ...{ COLLOQUY_COMMANDS_PER_MINUTE: "0", COLLOQUY_WS_COMMANDS_PER_MINUTE: "0" },
    ...{ COLLOQUY_HANDSHAKES_PER_MINUTE: "0", COLLOQUY_TENANT_COMMANDS_PER_MINUTE: "0" },
    COLLOQUY_MASTER_KEY: masterKey.toString("hex"),
    COLLOQUY_PORT: String(gatewayPort),
    COLLOQUY_ANCHOR_MINUTES: "1",
    COLLOQUY_DATA: join(folder, "data"),
  };
  const base = { logs: folder, cwd: root, died };
  const serving = (name: PartName, roles: string): Process =>
    processOf({
      ...{ ...base, name, env, program: process.execPath },
      args: ["cli/main.ts", "serve", "--roles", roles],
      ready: /^Colloquy is ready/,
    });
  const parts: Readonly<Record<PartName, Process>> = {
    nats: processOf({
      ...{ ...base, name: "nats", cwd: natsHome, program: natsBinary() },
      args: ["--config", "nats.conf"],
      ready: /Server is ready/,
    }),
    provider: processOf({
      ...{ ...base, name: "provider", program: process.execPath },
      args: ["test/support/model-server.ts", "--port", String(providerPort), "--delay-ms", "15"],
      ready: /"url"/,
    }),
    projections: serving("projections", "projections"),
    "actors-1": serving("actors-1", "actors"),
    "actors-2": serving("actors-2", "actors"),
    gateway: serving("gateway", "gateway"),
  };
  const url = `http://127.0.0.1:${gatewayPort}`;
  const secretBytes = new TextEncoder().encode(secret);
  const ring = openKeyRing({ secrets: [secretBytes] });
  const stop = async (): Promise<void> => {
    await Promise.all(part_names.map((name) => parts[name].end("SIGKILL")));
    await database.stop();
  };
  try {
    await Promise.all([parts.nats.start(), parts.provider.start()]);
    await Promise.all(part_names.slice(2).map((name) => parts[name].start()));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    ...{ url, natsUrl, masterKey, stop },
    databaseUrl: database.url,
    databaseKind: database.kind,
    secret: secretBytes,
    part: (name) => parts[name],
    token: async (who) => issueAccessToken(ring, { ...who, role: "member" }, 86_400, Date.now()),
    colloquy: (words) => colloquy(words, { folder: env.COLLOQUY_DATA, env }),
    async ready(said) {
      while (!(await answers(`${url}/ready`, said))) {
        await new Promise((look) => setTimeout(look, 50));
      }
    },
  };
}

/** Whether it answers with success; what it says else is handed on. */
async function answers(url: string, said: (what: string) => void): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(answer_ms) });
    const text = await response.text();
    if (!response.ok) said(`${response.status} ${text}`);
    return response.ok;
  } catch (error) {
    said(String(error));
    return false;
  }
}
const answer_ms = 5_000;

const natsSettings = (port: number): string =>
  [
    "host: 127.0.0.1",
    `port: ${port}`,
    `max_payload: ${limits.message_bytes_max}`,
    "jetstream { store_dir: jetstream, sync_interval: always }",
    "",
  ].join("\n");
