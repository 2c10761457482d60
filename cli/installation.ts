/**
 * The NATS server of an installation, for a command that serves nothing itself: `NATS_URL`, else the
 * embedded one of the process that holds the data folder, else one that is started on the folder
 * for as long as the command takes.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { connectStreams, type Streams } from "../streams/connection.ts";
import { startNatsServer } from "../streams/server.ts";
import { CliError, type Config } from "./config.ts";
import { endOrphans, openDataFolder, readText } from "./data-folder.ts";
import { liveOwner } from "./folder-lock.ts";

export interface Installation {
  readonly streams: Streams;
  /** Whether somebody may be there who takes commands. */
  readonly served: boolean;
  close(): Promise<void>;
}

/** Throws `CliError` or `AppError` with one sentence; nothing is left running then. */
export async function openInstallation(config: Config): Promise<Installation> {
  const running = await runningStreams(config);
  if (running !== null) return { streams: running, served: true, close: () => running.close() };
  const path = resolve(config.get("COLLOQUY_DATA") ?? ".colloquy");
  if (!existsSync(join(path, "nats"))) {
    throw new CliError(`There is no log in ${path}; name another data folder with --data.`);
  }
  const folder = openDataFolder(path);
  try {
    await endOrphans(path, () => undefined);
    const server = await startNatsServer({ folder: path, port: 0, log: () => undefined });
    try {
      const streams = await connectStreams({ url: server.url, name: "colloquy command" });
      return {
        streams,
        served: false,
        async close() {
          await streams.close();
          await server.stop();
          folder.release();
        },
      };
    } catch (error) {
      await server.stop();
      throw error;
    }
  } catch (error) {
    folder.release();
    throw error;
  }
}

/** The server that runs now; null when none does. Throws `AppError("unavailable")`, `CliError`. */
export async function runningStreams(config: Config): Promise<Streams | null> {
  const name = "colloquy command";
  const url = config.get("NATS_URL");
  if (url !== null) return connectStreams({ url, name });
  const path = resolve(config.get("COLLOQUY_DATA") ?? ".colloquy");
  const owner = liveOwner(path);
  if (owner === null) return null;
  const port = readText(join(path, "nats", "port"));
  if (port === null) {
    throw new CliError(`Process ${owner.pid} holds ${path} and has no NATS server yet; try again.`);
  }
  return connectStreams({ url: `nats://127.0.0.1:${port}`, name });
}
