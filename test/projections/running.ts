/** Runners in this process on a log in memory; each test ends what it began with `endAll`. */
import type { LogSource } from "../../projections/log-source.ts";
import type { Database } from "../../projections/postgres.ts";
import type { Projector } from "../../projections/projector.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { type Leases, type Runner, startRunner } from "../../projections/runner.ts";
import { systemClock } from "../../schemas/ids.ts";

const always: Leases = { held: () => true, changes: () => () => undefined };
export const afterwards: (() => Promise<void>)[] = [];

/** What tests began, ended in reverse. */
export async function endAll(): Promise<void> {
  for (const end of afterwards.splice(0).toReversed()) await end();
}

export interface Run {
  readonly runner: Runner;
  readonly reports: string[];
  /** Resolves when every projector has announced this sequence. */
  reached(sequence: number): Promise<void>;
  /** What was announced of a projector, in order. */
  announced(projector: string): readonly number[];
}

export interface RunOptions {
  readonly leases?: Leases;
  readonly projectors?: readonly Projector[];
  readonly announce?: (projector: string, sequence: number) => void;
}

export function run(database: Database, source: LogSource, options: RunOptions = {}): Run {
  const ours = options.projectors ?? projectors;
  const announced = new Map<string, number[]>();
  const waiting = new Set<() => void>();
  const reports: string[] = [];
  const runner = startRunner({
    ...{ source, database, projectors: ours, leases: options.leases ?? always },
    clock: systemClock,
    announce(projector, sequence) {
      announced.set(projector, [...(announced.get(projector) ?? []), sequence]);
      options.announce?.(projector, sequence);
      for (const look of waiting) look();
    },
    report({ what }) {
      reports.push(what);
      for (const look of waiting) look();
    },
  });
  afterwards.push(() => runner.stop());
  const until = (there: () => boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (!there()) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  const reached = (sequence: number): Promise<void> =>
    until(() => ours.every(({ name }) => (announced.get(name)?.at(-1) ?? 0) >= sequence));
  return { runner, reports, reached, announced: (name) => announced.get(name) ?? [] };
}
