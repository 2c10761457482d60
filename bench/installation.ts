/**
 * An installation as operators run it: a nats-server and a database of its own, and on them any
 * number of worker processes and gateways, each a `colloquy serve --roles …`, ended by their pid.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPglite } from "../projections/pglite-server.ts";
import { connectStreams, type Streams } from "../streams/connection.ts";
import { startNatsServer } from "../streams/server.ts";
import { provision } from "../streams/provision.ts";
import { presentWorkers } from "../streams/queue/workers.ts";
import { limits } from "../schemas/limits.ts";
import { pause, type Sync } from "./figures.ts";
import { launch, layCluster, type Program, run, type Started, unlimited } from "./processes.ts";

/** A worker process and the id under which the others know it. */
export interface Worker extends Program {
  readonly id: string;
}

export interface Installation {
  readonly natsUrl: string;
  /** The nats-server's process. */
  readonly natsPid: number;
  /** A connection of our own. */
  readonly streams: Streams;
  /** As `COLLOQUY_SECRET` is read. */
  readonly secret: Uint8Array;
  readonly masterKey: Buffer;
  /** Starts a worker process; resolves when it is a member. */
  worker(): Promise<Worker>;
  /** Starts a gateway with the projections; resolves when a turn would work. */
  gateway(): Promise<Started & { readonly url: string; token(): Promise<string> }>;
  end(): Promise<void>;
}

const partitions = limits.partitions;
const look_ms = 10;

export async function install(
  sync: Sync,
  env: Readonly<Record<string, string>> = {},
): Promise<Installation> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  const log = (): void => undefined;
  const nats = await startNatsServer({ folder, port: 0, sync, log });
  layCluster(join(folder, "postgres"));
  const database = await startPglite({ folder: join(folder, "postgres"), log });
  const streams = await connectStreams({ url: nats.url, name: "bench" });
  await provision(streams, { partitions, replicas: 1 });
  const secret = randomBytes(32).toString("hex");
  const masterKey = randomBytes(32);
  const settings = {
    ...{ NATS_URL: nats.url, DATABASE_URL: database.url, COLLOQUY_SECRET: secret },
    ...{ COLLOQUY_MASTER_KEY: masterKey.toString("hex"), COLLOQUY_PORT: "0" },
    ...{ ...unlimited, ...env },
  };
  const programs = new Set<Program>();
  return {
    natsUrl: nats.url,
    natsPid: nats.pid,
    streams,
    secret: new TextEncoder().encode(secret),
    masterKey,
    async worker() {
      const before = new Set((await presentWorkers(streams)).map(({ id }) => id));
      const program = launch(["cli/main.ts", "serve", "--roles", "actors"], settings);
      programs.add(program);
      let ended = false;
      void program.gone.then(() => (ended = true));
      for (;;) {
        const id = (await presentWorkers(streams))
          .map((one) => one.id)
          .find((one) => !before.has(one));
        if (id !== undefined) return { ...program, id };
        if (ended) throw new Error(`a worker ended: ${program.trouble()}`);
        await pause(look_ms);
      }
    },
    async gateway() {
      const words = ["cli/main.ts", "serve", "--roles", "gateway,projections"];
      const program = await run(words, /^Colloquy is ready: (\S+)$/, settings);
      programs.add(program);
      return {
        ...program,
        url: program.said[1] ?? "",
        async token() {
          const asked = ["cli/main.ts", "token", "--tenant", "main", "--user", "bench"];
          return (await run(asked, /^(\S+)$/, settings)).said[1] ?? "";
        },
      };
    },
    async end() {
      await Promise.all([...programs].map((program) => program.end()));
      await streams.close();
      await Promise.all([nats.stop(), database.stop()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/**
 * Until all partitions lie with the workers that they are meant for: a stand-by gives a pin away when
 * it has held it, and the first choice has been there, for a TTL and a beat (`streams/queue/queue.ts`).
 */
export const settled = (): Promise<void> => pause(limits.worker_ttl_ms + 3 * limits.worker_beat_ms);
