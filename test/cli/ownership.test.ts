/** What `/ready` and `colloquy doctor` say of the partitions: two workers, one killed, then both (I7). */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { runCommand } from "../../cli/line/command.ts";
import { doctor } from "../../cli/doctor.ts";
import { keptLook, orphans, readiness, shares } from "../../cli/readiness.ts";
import type { PartitionView } from "../../schemas/ownership.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { type Ownership, readOwnership } from "../../streams/queue/ownership.ts";
import { steppedClock } from "../actors/stepped-clock.ts";
import { partitions, secret, startSystem, type System } from "../streams/system.ts";
import { quick } from "../support/programs.ts";

let system: System;
const workers: ChildProcess[] = [];
beforeEach(async () => {
  system = await startSystem();
  vi.stubEnv("NATS_URL", system.server.url);
  vi.stubEnv("COLLOQUY_SECRET", "s".repeat(32));
  vi.stubEnv("COLLOQUY_MASTER_KEY", "0".repeat(64));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  for (const worker of workers.splice(0)) await kill(worker);
  await system.stop();
});

async function kill(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return;
  worker.kill("SIGKILL");
  await once(worker, "exit");
}

/** A worker process, and its id. */
async function child(): Promise<{ process: ChildProcess; id: string }> {
  const file = new URL("../streams/worker-child.ts", import.meta.url).pathname;
  const args = [...quick, file, system.server.url, secret.toString("hex")];
  const running = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  workers.push(running);
  const [line] = (await once(createInterface({ input: running.stdout }), "line")) as [string];
  return { process: running, id: (JSON.parse(line) as { ready: string }).ready };
}

interface Finding {
  readonly check: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly partitions?: readonly PartitionView[];
}

/** Runs `colloquy doctor` in this process. */
async function examine(...words: string[]): Promise<{ code: number; out: string }> {
  let out = "";
  const writing = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += String(text);
    return true;
  });
  try {
    return {
      code: await runCommand("doctor", doctor, [...words, "--data", system.server.dir]),
      out,
    };
  } finally {
    writing.mockRestore();
  }
}
async function finding(): Promise<Finding & { code: number }> {
  const { code, out } = await examine("--json");
  const findings = JSON.parse(out) as Finding[]; // what the command under test says
  const found = findings.find(({ check }) => check === "partitions");
  if (found === undefined) throw new Error("no such finding");
  return { ...found, code };
}
const ready = () =>
  readiness({
    ownership: () => readOwnership(system.streams),
    log: system.log,
    runner: { problem: () => null, caughtUp: () => true },
    queries: { positions: () => Promise.resolve({}) },
  });
const poll = { interval: 250 };

test("I7: who owns the partitions is told, and that they are orphaned when their workers are killed", async () => {
  await ensureConsumers(system.streams, partitions);
  const [one, two] = [await child(), await child()];
  const of = async (): Promise<Set<string | null>> =>
    new Set((await finding()).partitions?.map(({ worker }) => worker));
  await expect.poll(of, poll).toEqual(new Set([one.id, two.id]));
  const well = await finding();
  expect(well).toMatchObject({ code: 0, ok: true, detail: "8, of 2 workers" });
  expect(well.partitions?.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  const { out } = await examine();
  for (const { id } of [one, two]) expect(out).toContain(`worker ${id} (`);
  const fine = await ready();
  expect(fine.ready).toBe(true);
  expect(fine.checks.find(({ name }) => name === "actors")?.detail).toContain(one.id);
  expect(fine.partitions).toHaveLength(partitions);

  await kill(one.process);
  await expect.poll(of, poll).toEqual(new Set([two.id]));
  expect((await finding()).code).toBe(0);

  await kill(two.process);
  await expect
    .poll(async () => (await finding()).detail, poll)
    .toBe("all partitions are orphaned: no worker is there");
  expect(await finding()).toMatchObject({ code: 1, ok: false });
  expect((await examine()).out).toContain("FAIL  partitions: all partitions are orphaned");
  const ill = await ready();
  expect(ill.ready).toBe(false);
  expect(ill.checks.find(({ name }) => name === "actors")).toMatchObject({
    ok: false,
    detail: "all partitions are orphaned: no worker is there",
  });
});

test("before the streams are set up, doctor has nothing against it, and no turn would work", async () => {
  await system.streams.jsm.streams.delete("COMMANDS");
  expect(await finding()).toMatchObject({ ok: true, detail: "not set up yet" });
  expect(await ready()).toMatchObject({ ready: false });
});

const view = (partition: number, more: Partial<PartitionView> = {}): PartitionView => ({
  ...{ partition, state: "owned", worker: "a", why: null, open: 0, ...more },
});
const of = (...views: readonly PartitionView[]): Ownership => ({ workers: [], partitions: views });

test("orphaned partitions are named, each with its reason", () => {
  const lost = { state: "orphaned", worker: null, why: "no worker takes its commands" } as const;
  expect(orphans(of(view(0), view(1)))).toBe(null);
  expect(orphans(of(view(0), view(1, lost), view(2, lost), view(3, { ...lost, why: "x" })))).toBe(
    "partitions 1-2 are orphaned: no worker takes its commands; partition 3 is orphaned: x",
  );
  expect(
    shares([
      view(0),
      view(1, { state: "free" }),
      view(2),
      view(3, { state: "moving", worker: null }),
    ]),
  ).toEqual(["0, 2 owned by a", "1 free, next a", "3 moving"]);
});

test("I11: however many ask whether it is ready, who owns what is looked up once in a while", async () => {
  const clock = steppedClock();
  let looks = 0;
  let found = of(view(0));
  const look = keptLook(() => {
    looks += 1;
    return looks === 4 ? Promise.reject(new Error("away")) : Promise.resolve(found);
  }, clock);
  await Promise.all(Array.from({ length: 50 }, () => look()));
  clock.step(1_900);
  await look();
  expect(looks).toBe(1);
  clock.step(200);
  found = of(view(0, { state: "orphaned", why: "x" }));
  expect(await look()).toBe(found);
  expect(looks).toBe(2);
  // What is wrong, or could not be seen, is looked at sooner.
  clock.step(300);
  await look();
  clock.step(300);
  await expect(look()).rejects.toThrow("away");
  await expect(look()).rejects.toThrow("away");
  clock.step(300);
  await look();
  expect(looks).toBe(5);
});
