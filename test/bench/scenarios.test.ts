/**
 * Every scenario of `npm run bench` runs, at a hundredth of its size, and says its figures in the
 * shape that programs read. How fast anything was is never asserted: the machine decides that.
 * Flushing before every answer is a flag of the server: one scenario runs with both of its values.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pgliteCluster } from "../support/clusters.ts";
import { quick } from "../support/programs.ts";

const root = join(import.meta.dirname, "../..");

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function bench(...words: string[]): Promise<Ended> {
  const child = spawn(process.execPath, [...quick, "bench/main.ts", ...words], {
    cwd: root,
    env: { PATH: "/usr/bin:/bin" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const texts = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => (texts.out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (texts.err += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null]; // of `close`: code and signal
  return { code, ...texts };
}

/** What programs read, by name and unit; a scenario may say more. */
const promised: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  append: { commits_per_s: "1/s", commits_per_s_sync_always: "1/s" },
  turns: {
    first_token_p50_ms: "ms",
    first_token_p95_ms: "ms",
    first_token_p99_ms: "ms",
    turns_per_s: "1/s",
    cpu_us_per_token: "µs",
  },
  commands: { commands_per_s: "1/s", commands_per_s_two_workers: "1/s" },
  cold: { load_p50_ms: "ms", load_1000_events_without_snapshot_p50_ms: "ms" },
  awake: { heap_bytes_per_actor: "B", resident_bytes_per_actor: "B" },
  takeover: { next_token_p50_ms: "ms", next_token_max_ms: "ms" },
  rebuild: { events_per_s: "1/s", resident_bytes: "B", cpu_us_per_event_ours: "µs" },
  http: { requests_per_s: "1/s", reads_per_s: "1/s", read_p95_ms: "ms", command_p95_ms: "ms" },
  verify: { events_per_s: "1/s", command_ms: "ms" },
  "projection-lag": { lag_p50_ms: "ms", lag_p95_ms: "ms", lag_at_3000_per_s_p95_ms: "ms" },
  resume: { half_stream_p50_ms: "ms", half_stream_p99_ms: "ms", storm_s: "s" },
  fanout: { deliveries_per_s: "1/s", delivery_p99_ms: "ms", bytes_per_socket: "B" },
};
/** Figures that stand beside a limit of the same run. */
const limited = [
  ...["commits_per_s", "commands_per_s", "turns_per_s", "deliveries_per_s", "events_per_s"],
  "requests_per_s",
];
/** A hundredth of a million events is still long, and so is a whole installation a second time. */
const shorter: Readonly<Record<string, readonly string[]>> = {
  ...{ rebuild: ["--scale", "0.002"], verify: ["--scale", "0.002"] },
  ...{ turns: ["--sync", "default"], commands: ["--sync", "default"] },
};

describe.each(Object.entries(promised))("the scenario %s", (scenario, names) => {
  test("prints one line of JSON a figure", async () => {
    const flags = ["--json", "--scale", "0.01", "--rate", "100", "--sockets", "20"];
    const cluster = await pgliteCluster();
    if (cluster !== null) flags.push("--cluster", cluster);
    const { code, out, err } = await bench(scenario, ...flags, ...(shorter[scenario] ?? []));
    expect(err).toBe("");
    expect(code).toBe(0);
    const lines = out.trimEnd().split("\n");
    const figures = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    const units = new Map(figures.map((one) => [one["figure"], one["unit"]]));
    for (const one of figures) {
      const keys = ["scenario", "figure", "value", "unit", "limit", "ratio"];
      expect(Object.keys(one)).toEqual(keys);
      expect(one["scenario"]).toBe(scenario);
      expect(one["value"]).toSatisfy(Number.isFinite);
      expect(one["limit"] === null).toBe(one["ratio"] === null);
    }
    expect(Object.fromEntries(units)).toMatchObject(names);
    for (const name of limited.filter((each) => each in names)) {
      const beside = figures.find((one) => one["figure"] === name);
      expect(beside?.["limit"]).toSatisfy(Number.isFinite);
      expect(beside?.["ratio"]).toSatisfy(Number.isFinite);
    }
  });
});

test("what it does not know is refused with a sentence and the list of scenarios", async () => {
  const wrong = [["nonsense"], ["append", "--nonsense"], ["append", "--scale", "none"], []];
  wrong.push(["append", "--sync", "never"]);
  for (const { code, out, err } of await Promise.all(wrong.map((words) => bench(...words)))) {
    expect(code).toBe(2);
    expect(out).toBe("");
    expect(err).toMatch(/^[^\n]*\.\n/);
    for (const scenario of Object.keys(promised)) expect(err).toContain(`\n  ${scenario}`);
  }
});
