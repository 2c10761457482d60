/**
 * Database clusters that were initialised once a run, since doing so takes 3 s of a processor: the
 * first test that needs one makes it, the others begin with a copy, which holds nothing of anybody's.
 * Without `run-folder.ts`, which names the run's folder, each is made anew.
 */
import { cpSync, existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { startPglite } from "../../projections/pglite-server.ts";

/** Environment variable with the folder of this run. */
export const run_folder = "TEST_RUN_FOLDER";
const look_ms = 50;
/** Whoever makes it may have been killed: then one makes one's own. */
const patience_ms = 60_000;

/** The folder of a cluster that `make` has initialised in this run; null where there is no run. */
export async function initialised(
  name: string,
  make: (folder: string) => Promise<void>,
): Promise<string | null> {
  const run = process.env[run_folder];
  if (run === undefined) return null;
  const ready = join(run, name);
  try {
    mkdirSync(`${ready}.making`);
  } catch {
    const until = performance.now() + patience_ms;
    while (!existsSync(ready) && performance.now() < until) await after(look_ms);
    return existsSync(ready) ? ready : null;
  }
  const making = join(`${ready}.making`, "cluster");
  await make(making);
  renameSync(making, ready);
  return ready;
}

/** The embedded database's cluster; null where there is no run. */
export const pgliteCluster = (): Promise<string | null> =>
  initialised("pglite", async (folder) => {
    const server = await startPglite({ folder, log: () => undefined });
    await server.stop();
  });

/** Lays it where a first start would make one; nothing where one lies. */
export async function layPglite(folder: string): Promise<void> {
  if (existsSync(folder)) return;
  const cluster = await pgliteCluster();
  if (cluster === null) return;
  mkdirSync(dirname(folder), { recursive: true });
  cpSync(cluster, folder, { recursive: true });
}
