/**
 * What goes wrong, from a seed: which process, how, and after how many frames of the load. A process
 * that was killed comes back, one that was frozen goes on; how long it stays away is part of the
 * fault, from less than any time-out to longer than `ack_wait`, the pin and a worker's TTL.
 */
import { limits } from "../../schemas/limits.ts";
import type { Random } from "../projections/history.ts";
import type { Progress } from "./progress.ts";
import { between, weighted } from "./questions.ts";
import type { PartName, System } from "./system.ts";

export interface Script {
  /** Faults that have begun, for the summary. */
  readonly done: readonly string[];
  /** Runs faults, one or two at a time, until `over`; all that runs then runs well. */
  run(over: (done: number) => boolean): Promise<void>;
}

/** What a fault does to processes; it ends when they are back. */
interface Fault {
  readonly name: string;
  readonly parts: readonly PartName[];
  readonly run: () => Promise<void>;
}

/** Without a frame for so long, something is stuck: the next fault would only hide it. */
const stuck_ms = 90_000;
const workers: readonly PartName[] = ["actors-1", "actors-2"];

export function openScript(options: {
  readonly system: System;
  readonly roll: Random;
  readonly progress: Progress;
  readonly log: (line: string) => void;
  readonly wrong: (why: string) => void;
}): Script {
  const { system, roll, progress, log, wrong } = options;
  const done: string[] = [];

  const killed = (parts: readonly PartName[], away_ms: number): Fault => {
    const frames = between(roll, 1, 200);
    return {
      ...{ name: `kill -9 ${parts.join(" ")} for ${frames} frames or ${away_ms} ms`, parts },
      async run() {
        await Promise.all(parts.map((name) => system.part(name).end("SIGKILL")));
        await progress.more(frames, away_ms);
        await Promise.all(parts.map((name) => system.part(name).start()));
      },
    };
  };
  const stopped = (part: PartName): Fault => ({
    ...{ name: `SIGTERM ${part}`, parts: [part] },
    async run() {
      await system.part(part).end("SIGTERM");
      await system.part(part).start();
    },
  });
  const frozen = (parts: readonly PartName[], ms: number): Fault => ({
    ...{ name: `SIGSTOP ${parts.join(" ")} for ${ms} ms`, parts },
    async run() {
      for (const name of parts) system.part(name).freeze();
      await pause(ms);
      for (const name of parts) system.part(name).thaw();
    },
  });
  const worker = (): PartName => workers[between(roll, 0, 1)] ?? "actors-1";
  const short_ms = (): number => between(roll, 100, limits.ack_wait_ms - 200);
  const long_ms = (): number => between(roll, limits.ack_wait_ms, 2 * limits.worker_ttl_ms);

  const faults: readonly (readonly [number, () => Fault])[] = [
    [20, () => killed([worker()], between(roll, 0, 6_000))],
    [4, () => killed(workers, between(roll, 0, 2_000))],
    [8, () => frozen([worker()], short_ms())],
    [14, () => frozen([worker()], long_ms())],
    [4, () => frozen(workers, long_ms())],
    [6, () => stopped(worker())],
    [10, () => killed(["gateway"], between(roll, 0, 1_500))],
    [4, () => stopped("gateway")],
    [5, () => frozen(["gateway"], long_ms())],
    [12, () => killed(["nats"], between(roll, 0, 4_000))],
    [6, () => frozen(["nats"], between(roll, 200, 4_000))],
    [3, () => killed(["nats", worker()], between(roll, 0, 2_000))],
    [6, () => killed(["projections"], between(roll, 0, 3_000))],
    [4, () => frozen(["projections"], long_ms())],
    [3, () => killed(["provider"], between(roll, 0, 2_000))],
    [3, () => frozen(["provider"], between(roll, 200, 4_000))],
  ];

  const begin = (fault: Fault): Promise<void> => {
    done.push(fault.name);
    log(`frame ${progress.frames}: ${fault.name}`);
    return fault.run().then(() => log(`frame ${progress.frames}: over: ${fault.name}`));
  };
  return {
    done,
    async run(over) {
      while (!over(done.length)) {
        const first = weighted(roll, faults)();
        const second = weighted(roll, faults)();
        const both = roll() < 0.3 && !first.parts.some((part) => second.parts.includes(part));
        const [before, between_both] = [between(roll, 20, 400), between(roll, 0, 50)];
        if (!(await progress.more(before, stuck_ms))) {
          wrong(`no client was told anything for ${stuck_ms} ms`);
          return;
        }
        const beginning = begin(first);
        if (both) {
          await progress.more(between_both, 1_000);
          await begin(second);
        }
        await beginning;
      }
    },
  };
}

const pause = (ms: number): Promise<void> => new Promise((over) => setTimeout(over, ms));
