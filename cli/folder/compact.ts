/**
 * `colloquy doctor --compact`: writes the data folder of a stopped installation anew, so that nothing
 * of what was erased is left in any file of it. Removing something only unlinks it: NATS leaves the
 * bytes in its block files, Postgres in its pages and its write-ahead log.
 *
 * First whatever was deleted is erased (again); then the read models are built from the log, and the
 * streams beside the log are rewritten, all of it next to what is there (`folder-switch.ts`). The
 * log stays as it is: its content is sealed, and the key is gone.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { startPglite } from "../../projections/pglite-server.ts";
import { connectDatabase } from "../../projections/postgres.ts";
import { limits } from "../../schemas/limits.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import {
  type Deletion,
  dropCommands,
  eraseContent,
  readDeletions,
} from "../../streams/content/erasure.ts";
import { openLog } from "../../streams/log/log.ts";
import { provision } from "../../streams/provision.ts";
import { forgetCounts, rewriteStream, storedStreams } from "../../streams/content/rewrite.ts";
import { type NatsServer, startNatsServer, storeOf } from "../../streams/server.ts";
import { commands_stream, events_stream } from "../../streams/topology.ts";
import { openVault } from "../../streams/content/vault.ts";
import { CliError } from "../line/cli-error.ts";
import type { Config } from "../config.ts";
import { endOrphans, openDataFolder } from "./data-folder.ts";
import { bytesOf, demandRoom } from "./disk-space.ts";
import {
  missingIn,
  openErasureList,
  parseErasures,
  readErasures,
} from "../erasures/erasure-list.ts";
import { declareComplete, finishSwitch, workshopOf } from "./folder-switch.ts";
import { checkHead, lookAtStart, refuseDamage } from "./head-file.ts";
import { buildReadModels } from "../projections/read-models.ts";
import { secretsOf } from "../services.ts";
import { complain, printable, reporter, say } from "../line/terminal.ts";

/** What was done. */
export interface Compacted {
  readonly folder: string;
  /** Actors whose content is erased, in all. */
  readonly erased: number;
  /** Commands that waited for them, each to be refused. */
  readonly commands: number;
  /** Messages in the streams that were rewritten. */
  readonly messages: number;
  readonly bytes_before: number;
  readonly bytes_after: number;
  /** What lies in the folder and is not ours to rewrite. */
  readonly untouched: readonly string[];
}

type Say = (line: string) => void;

/** Throws `CliError` or `AppError` with one sentence; running it again finishes what it began. */
export async function compactFolder(config: Config, tell: Say): Promise<Compacted> {
  if (config.get("NATS_URL") !== null) {
    throw new CliError(
      "--compact rewrites the data folder of an embedded installation, and NATS_URL names another server: docs/OPERATING.md, Erasing, says what to do there.",
    );
  }
  const path = resolve(config.get("COLLOQUY_DATA") ?? ".colloquy");
  if (!existsSync(join(path, "nats"))) {
    throw new CliError(`There is no log in ${path}; name another data folder with --data.`);
  }
  const folder = openDataFolder(path);
  try {
    await endOrphans(path, () => undefined);
    return await compact(config, path, tell);
  } finally {
    folder.release();
  }
}

async function compact(config: Config, path: string, tell: Say): Promise<Compacted> {
  const bytes_before = bytesOf(path);
  const workshop = workshopOf(path);
  demandRoom(path, bytesNeeded(path));
  mkdirSync(workshop, { mode: 0o700 });
  try {
    const { erased, commands } = await eraseAndBuild(config, path, tell);
    tell("rewriting the streams beside the log");
    const messages = await rewriteStreams(path);
    declareComplete(path);
    finishSwitch(path);
    // A database of its own at DATABASE_URL needs none here.
    if (config.get("DATABASE_URL") !== null) remove(join(path, "postgres"));
    for (const name of readdirSync(path)) if (damaged.test(name)) remove(join(path, name));
    const bytes_after = bytesOf(path);
    const untouched = readdirSync(path).filter((name) => !ours.test(name));
    return { folder: path, erased, commands, messages, bytes_before, bytes_after, untouched };
  } catch (error) {
    finishSwitch(path);
    throw error;
  }
}

/** Folders of a database that could not be opened, kept for whoever wants to look into them. */
const damaged = /^postgres\.damaged-\d+$/;
const ours = /^(nats|postgres(\.pid|\.port)?|secret|master-key|head|erasures|lock\.\d+)$/;
const remove = (path: string): void =>
  rmSync(path, { recursive: true, force: true, maxRetries: 10 });

/** Erases what was deleted, on the servers as they are, and builds the read models aside. */
async function eraseAndBuild(
  config: Config,
  path: string,
  tell: Say,
): Promise<Pick<Compacted, "erased" | "commands">> {
  return withServer(path, async (streams, server) => {
    await lookAtStart(streams, server.before);
    refuseDamage(path);
    await provision(streams, { partitions: limits.partitions_embedded, replicas: 1 });
    const vault = await openVault(streams, secretsOf(config, true, path).masterKey);
    const log = openLog(streams, vault);
    await checkHead(path, log);
    const deletions: Deletion[] = [];
    let commands = 0;
    for await (const deletion of readDeletions(streams)) deletions.push(deletion);
    const eraseOne = async ({ ref }: Deletion): Promise<void> => {
      await eraseContent(streams, vault, ref);
      const dropped = await dropCommands(streams, ref);
      commands += dropped;
    };
    for (let next = 0; next < deletions.length; next += at_once_max) {
      await Promise.all(deletions.slice(next, next + at_once_max).map(eraseOne));
    }
    const erased = deletions.length;
    // Workers of other machines erase what they delete, and have no folder to remember it in.
    const { erasures } = parseErasures(readErasures(path).toString("latin1"));
    const list = openErasureList(path);
    for (const deletion of missingIn(erasures, deletions)) await list.remember(deletion);
    const accounts = deletions.filter(({ ref }) => ref.kind === "account").length;
    const parts = [counted(erased - accounts, "conversation")];
    if (accounts > 0) parts.push(counted(accounts, "account"));
    tell(`erased what was deleted: ${parts.join(" and ")}`);
    if (config.get("DATABASE_URL") === null && existsSync(join(path, "postgres"))) {
      tell("building the read models anew");
      const home = join(workshopOf(path), "postgres");
      const server = await startPglite({ folder: home, log: () => undefined });
      try {
        const database = await connectDatabase(server.url, { name: "colloquy doctor" });
        try {
          const building = buildReadModels({ streams, vault, log }, database, {
            report: reporter("info"),
            progress: every(report_ms, (position, end) => tell(`  ${position} of ${end}`)),
          });
          await Promise.race([building, server.exited.then(() => gaveUp())]);
        } finally {
          await database.close();
        }
      } finally {
        await server.stop();
      }
    }
    return { erased, commands };
  });
}

const counted = (count: number, what: string): string =>
  `${count} ${what}${count === 1 ? "" : "s"}`;

/** Each is a handful of requests. */
const at_once_max = 32;

const gaveUp = (): never => {
  throw new CliError("The embedded database has ended; nothing was changed.");
};

/** Copies the store without the log and rewrites every stream of the copy; how many messages. */
async function rewriteStreams(path: string): Promise<number> {
  const workshop = workshopOf(path);
  const log = storeOf(path, events_stream);
  cpSync(join(path, "nats"), join(workshop, "nats"), {
    recursive: true,
    filter: (source) => source !== log,
  });
  const messages = await withServer(workshop, async (streams) => {
    let all = 0;
    for (const name of await storedStreams(streams)) all += await rewriteStream(streams, name);
    return all;
  });
  forgetCounts(workshop, commands_stream);
  return messages;
}

async function withServer<T>(
  folder: string,
  work: (streams: Streams, server: NatsServer) => Promise<T>,
): Promise<T> {
  const server = await startNatsServer({ folder, port: 0, log: () => undefined });
  try {
    const streams = await connectStreams({ url: server.url, name: "colloquy doctor" });
    try {
      return await work(streams, server);
    } finally {
      await streams.close();
    }
  } finally {
    await server.stop();
  }
}

/** The store beside the log is copied, and written twice on the way; the read models once more. */
function bytesNeeded(path: string): number {
  const store = bytesOf(join(path, "nats")) - bytesOf(storeOf(path, events_stream));
  return 2 * store + bytesOf(join(path, "postgres"));
}

const report_ms = 2_000;

/** Calls through at most so often. */
function every<A extends readonly unknown[]>(
  ms: number,
  call: (...given: A) => void,
): (...given: A) => void {
  let last_ms = performance.now();
  return (...given) => {
    if (performance.now() - last_ms < ms) return;
    last_ms = performance.now();
    call(...given);
  };
}

/** The command: what it does goes to stderr as it happens, what came of it to stdout. */
export async function runCompact(config: Config, json: boolean): Promise<number> {
  const done = await compactFolder(config, complain);
  if (json) {
    say(JSON.stringify(done));
    return 0;
  }
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  say(
    `${done.folder} is written anew: ${mb(done.bytes_before)} before, ${mb(done.bytes_after)} now.`,
  );
  if (done.commands > 0) {
    say(`${done.commands} commands that waited for what was deleted are gone, unanswered.`);
  }
  if (done.untouched.length > 0) {
    say(
      `Not ours and left as they are: ${done.untouched.map((name) => printable(name)).join(", ")}.`,
    );
  }
  if (config.get("DATABASE_URL") !== null) {
    say(
      "The database at DATABASE_URL is not touched: docs/OPERATING.md, Erasing, says what to do there.",
    );
  }
  return 0;
}
