/** Builds the read models of a whole log in an empty database, for a command that serves nothing. */
import { logSource } from "../../projections/log-source.ts";
import type { Database } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { type Report, startRunner } from "../../projections/runner.ts";
import { systemClock } from "../../schemas/ids.ts";
import type { Streams } from "../../streams/connection.ts";
import type { Log } from "../../streams/log/log.ts";
import { readBatches } from "../../streams/log/reader.ts";
import type { Vault } from "../../streams/content/vault.ts";

/** Resolves when every projector has seen the end of the log as it is at the call. */
export async function buildReadModels(
  { streams, vault, log }: { readonly streams: Streams; readonly vault: Vault; readonly log: Log },
  database: Database,
  options: {
    readonly report: Report;
    /** Hears how far it has come, of how much. */
    readonly progress: (position: number, end: number) => void;
  },
): Promise<void> {
  const { report, progress } = options;
  const end = await log.lastSequence();
  if (end === 0) return;
  const positions = new Map(projectors.map(({ name }) => [name, 0]));
  let done = (): void => undefined;
  const built = new Promise<void>((resolve) => (done = resolve));
  const runner = startRunner({
    source: logSource(log, (reading) => readBatches(streams, vault, reading)),
    // Nobody else is there to run them.
    leases: { held: () => true, changes: () => () => undefined },
    announce(name, sequence) {
      positions.set(name, sequence);
      const slowest = Math.min(...positions.values());
      progress(slowest, end);
      if (slowest >= end) done();
    },
    ...{ database, projectors, clock: systemClock, report },
  });
  try {
    await built;
  } finally {
    await runner.stop();
  }
}
