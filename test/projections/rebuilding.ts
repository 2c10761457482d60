/** Rebuilds in this process on a log in memory, with small bounds so that short histories flush often. */
import type { LogSource } from "../../projections/log-source.ts";
import type { Database } from "../../projections/postgres.ts";
import type { Progress } from "../../projections/rebuild/fill.ts";
import type { RebuildPorts } from "../../projections/rebuild/rebuild.ts";
import { systemClock } from "../../schemas/ids.ts";

export interface Rebuilding extends RebuildPorts {
  readonly told: string[];
  readonly seen: Progress[];
}

export function rebuilding(
  database: Database,
  source: LogSource,
  change: Partial<RebuildPorts> = {},
): Rebuilding {
  const told: string[] = [];
  const seen: Progress[] = [];
  return {
    ...{ database, source, clock: systemClock, told, seen },
    signal: new AbortController().signal,
    announce: () => undefined,
    progress: (progress) => seen.push(progress),
    step: (what) => told.push(what),
    waits: (why) => told.push(why),
    handover_ms: 100,
    bounds: { flush_rows: 150, cache_rows_max: 300 },
    ...change,
  };
}
