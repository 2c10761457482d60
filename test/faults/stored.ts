/**
 * What is stored at the end, read with the project's own readers: the lines of commits with their
 * hash chains, what waits in the queue, what is dead, and the read models beside a second projection
 * of the same log into an empty database.
 */
import { ensureCatalog } from "../../projections/catalog.ts";
import { generationOf } from "../../projections/generations.ts";
import { type Lane, openLane } from "../../projections/lane.ts";
import { connectDatabase, type Database } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { type Commit, empty_head } from "../../schemas/commit.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import { type Log, openLog } from "../../streams/log/log.ts";
import { readCommits, type Undecodable } from "../../streams/log/reader.ts";
import { commands_stream, dead_stream } from "../../streams/topology.ts";
import { openVault, type Vault } from "../../streams/content/vault.ts";
import { verifyAnchors } from "../../streams/proof/verify-anchors.ts";
import { dump } from "../projections/databases.ts";

export interface Stored {
  /** Commands that nobody has acknowledged: their subjects. */
  waiting(): Promise<string[]>;
  /** The state of the queue's consumers that have something to do, as the server tells it. */
  consumers(): Promise<unknown[]>;
  /** Dead letters: their subjects. */
  dead(): Promise<string[]>;
  /** The last sequence of the log. */
  end(): Promise<number>;
  /** One actor's commits, each checked against the hash of the one before. Throws `BrokenChain`. */
  line(ref: ActorRef): Promise<Commit[]>;
  /** What does not fit of the anchors that workers made meanwhile. */
  anchors(): Promise<string[]>;
  /** The whole log in its order. */
  log(): Promise<(Commit | Undecodable)[]>;
  close(): Promise<void>;
}

export async function openStored(natsUrl: string, masterKey: Uint8Array): Promise<Stored> {
  const streams: Streams = await connectStreams({ url: natsUrl, name: "faults" });
  const vault: Vault = await openVault(streams, masterKey);
  const log: Log = openLog(streams, vault);
  const subjects = async (stream: string, filter: string): Promise<string[]> => {
    const { state } = await streams.jsm.streams.info(stream, { subjects_filter: filter });
    return Object.keys(state.subjects ?? {}).sort();
  };
  return {
    waiting: () => subjects(commands_stream, "cmd.>"),
    async consumers() {
      const busy: unknown[] = [];
      for await (const info of streams.jsm.consumers.list(commands_stream)) {
        if (info.num_pending + info.num_ack_pending > 0) busy.push(info);
      }
      return busy;
    },
    dead: () => subjects(dead_stream, "dead.>"),
    end: () => log.lastSequence(),
    async line(ref) {
      const commits: Commit[] = [];
      for await (const commit of log.read(ref, empty_head)) commits.push(commit);
      return commits;
    },
    async anchors() {
      const { faults } = await verifyAnchors(streams, { tenant: null, root: null });
      return faults.map(({ tenant, reason }) => `I3: the anchors of ${tenant}: ${reason}`);
    },
    async log() {
      const end = await log.lastSequence();
      const stop = new AbortController();
      const commits: (Commit | Undecodable)[] = [];
      if (end === 0) return commits;
      for await (const commit of readCommits(streams, vault, { after: 0, signal: stop.signal })) {
        commits.push(commit);
        if (commit.sequence >= end) break;
      }
      stop.abort();
      return commits;
    },
    close: () => streams.close(),
  };
}

/** Resolves when every read model has reached this sequence; polled, since it says it nowhere else. */
export async function projected(database: Database, sequence: number): Promise<void> {
  for (;;) {
    const rows = await database.query("SELECT position FROM read.positions");
    if (rows.length > 0 && rows.every(({ position }) => Number(position) >= sequence)) return;
    await new Promise((look) => setTimeout(look, 50));
  }
}

/**
 * Projects the log into an empty database and names every table that differs from the read models,
 * and every actor that a projector has parked. Workers go on anchoring all the while: the two are
 * compared as they are at one end of the log, so what came meanwhile is projected, too.
 */
export async function compareReadModels(
  ours: Database,
  emptyUrl: string,
  read: () => Promise<readonly (Commit | Undecodable)[]>,
): Promise<string[]> {
  const wrong: string[] = [];
  const parked = await ours.query("SELECT projector, id, reason FROM read.parked");
  for (const row of parked) wrong.push(`parked: ${JSON.stringify(row)}`);
  const fresh = await connectDatabase(emptyUrl);
  try {
    await ensureCatalog(fresh, projectors);
    const lanes: [string, Lane][] = [];
    for (const one of projectors) {
      lanes.push([one.name, await openLane(fresh, generationOf(one, 1))]);
    }
    let was: Record<string, unknown> = {};
    let is: Record<string, unknown> = {};
    let log = await read();
    for (let applied = 0; applied < log.length;) {
      for (const [name, lane] of lanes) {
        for (let at = applied; at < log.length; at += 200) {
          for (const { ref, reason } of await lane.apply(log.slice(at, at + 200))) {
            wrong.push(`${name} parks ${refKey(ref)}: ${reason}`);
          }
        }
      }
      applied = log.length;
      await projected(ours, log.at(-1)?.sequence ?? 0);
      [was, is] = [await dump(fresh), await dump(ours)];
      log = await read();
    }
    for (const [table, rows] of Object.entries(was)) {
      // `dump` selects t.
      const expected = new Set((rows as { t: string }[]).map(({ t }) => t));
      const found = new Set((is[table] as { t: string }[]).map(({ t }) => t));
      for (const row of expected) if (!found.has(row)) wrong.push(`${table} lacks ${row}`);
      for (const row of found) if (!expected.has(row)) wrong.push(`${table} has ${row}`);
    }
  } finally {
    await fresh.close();
  }
  return wrong;
}
