/**
 * The process of `rebuild`: builds read models anew from the whole log, as the command does, and says
 * how long that took and what it held.
 */
import { readFast } from "../streams/log/reader-aside.ts";
import { systemClock } from "../schemas/ids.ts";
import { connectDatabase } from "../projections/postgres.ts";
import { logSource } from "../projections/log-source.ts";
import { projectors } from "../projections/projectors/all.ts";
import { rebuild } from "../projections/rebuild/rebuild.ts";
import { connectStreams } from "../streams/connection.ts";
import { openLog } from "../streams/log/log.ts";
import { openVault } from "../streams/content/vault.ts";

/** What the parent reads. */
export interface Rebuilt {
  readonly events: number;
  /** Until the rows stood there, and until the new generations were live. */
  readonly filled_ms: number;
  readonly live_ms: number;
  /** CPU time of this process until they were live, its start not counted. */
  readonly cpu_us: number;
  /** The most memory that this process had in its first half of the log, and in all. */
  readonly half_bytes: number;
  readonly peak_bytes: number;
}

const [nats = "", database_url = "", key = "", ...names] = process.argv.slice(2);
const masterKey = Buffer.from(key, "hex");
const streams = await connectStreams({ url: nats, name: "bench" });
const vault = await openVault(streams, masterKey);
const database = await connectDatabase(database_url, { name: "rebuild" });
const told = { events: 0, filled_ms: 0, live_ms: 0, cpu_us: 0, half_bytes: 0, peak_bytes: 0 };
const started = process.cpuUsage();
const peak = (): number => process.resourceUsage().maxRSS * 1024;
const began = performance.now();
const ours = projectors.filter(({ name }) => names.includes(name));
const live = new Set<string>();
await rebuild(
  {
    ...{ database, clock: systemClock, signal: new AbortController().signal },
    source: logSource(openLog(streams, vault), (reading) =>
      readFast(streams, vault, { url: nats, masterKey }, reading),
    ),
    progress({ position, end, events }) {
      told.events = Math.max(told.events, events);
      if (position <= end / 2) told.half_bytes = peak();
    },
    step: () => (told.filled_ms ||= performance.now() - began),
    waits: (why) => process.stderr.write(`${why}\n`),
    announce(name) {
      live.add(name);
      if (live.size < ours.length || told.live_ms > 0) return;
      told.live_ms = performance.now() - began;
      const { user, system } = process.cpuUsage(started);
      told.cpu_us = user + system;
      const rebuilt: Rebuilt = { ...told, peak_bytes: peak() };
      process.stdout.write(`${JSON.stringify(rebuilt)}\n`);
      // It would go on feeding them until a runner does, and there is none.
      process.exit(0);
    },
  },
  ours,
);
