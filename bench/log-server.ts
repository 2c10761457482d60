/** A nats-server with the topology on it and nothing else: what reads and writes the log runs on. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { limits } from "../schemas/limits.ts";
import { connectStreams, type Streams } from "../streams/connection.ts";
import { provision } from "../streams/provision.ts";
import { startNatsServer } from "../streams/server.ts";
import { openVault, type Vault } from "../streams/content/vault.ts";

export interface LogServer {
  readonly url: string;
  /** Of the server's process. */
  readonly pid: number;
  readonly streams: Streams;
  readonly vault: Vault;
  readonly masterKey: Buffer;
  stop(): Promise<void>;
}

export async function startLogServer(sync: "always" | "default"): Promise<LogServer> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  const server = await startNatsServer({ folder, port: 0, sync, log: () => undefined });
  const streams = await connectStreams({ url: server.url, name: "bench" });
  await provision(streams, { partitions: limits.partitions, replicas: 1 });
  const masterKey = randomBytes(32);
  return {
    ...{ url: server.url, pid: server.pid, streams, masterKey },
    vault: await openVault(streams, masterKey),
    async stop() {
      await streams.close();
      await server.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
