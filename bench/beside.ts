/**
 * Ours beside the bare: measured in turns in the same run, so that whatever else the machine does
 * meets both. Rates suffer from it; the CPU that one job takes does much less.
 */
import { type Figure, figure, median } from "./figures.ts";
import { cpuOf } from "./processes.ts";

const rounds = 5;

/** One side: `run` does `count` jobs and resolves with how many a second. */
export interface Side {
  readonly count: number;
  /** Processes that work for it beside this one. */
  readonly pids: readonly number[];
  /** Before every round; not part of it. */
  prepare?(): void;
  run(): Promise<number>;
}

interface Round {
  readonly per_s: number;
  readonly cpu_us: number;
}

/**
 * The rate as the figure `<jobs>_per_s<suffix>`, and as `cpu_us_per_<job><suffix>` what one job takes
 * of all the processes; medians of the rounds, the ratio that of the rounds' ratios.
 */
export async function beside(
  names: { scenario: string; job: string; suffix: string },
  ours: Side,
  bare: Side,
): Promise<Figure[]> {
  const measured: { ours: Round; bare: Round }[] = [];
  for (let n = 0; n < rounds; n++) {
    measured.push({ bare: await round(bare), ours: await round(ours) });
  }
  const { scenario, job, suffix } = names;
  const of = (name: string, unit: string, value: (one: Round) => number): Figure => {
    const limit = median(measured.map((each) => value(each.bare)));
    const ratio = median(measured.map((each) => value(each.ours) / value(each.bare)));
    const mine = median(measured.map((each) => value(each.ours)));
    return figure(scenario, `${name}${suffix}`, mine, unit, limit, ratio);
  };
  return [
    of(`${job}s_per_s`, "1/s", ({ per_s }) => per_s),
    of(`cpu_us_per_${job}`, "µs", ({ cpu_us }) => cpu_us),
  ];
}

async function round({ count, pids, prepare, run }: Side): Promise<Round> {
  prepare?.();
  const all = [process.pid, ...pids];
  const before = cpuOf(all);
  const per_s = await run();
  return { per_s, cpu_us: (cpuOf(all) - before) / count };
}
