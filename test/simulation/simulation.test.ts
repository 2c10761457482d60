/**
 * The actors in a simulated world, a thousand times: what is promised holds whatever befalls them.
 * A run that fails prints the command that shows it again, event by event.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { NamedCommand } from "../../schemas/commands.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { violationsOf } from "./checks.ts";
import { randomOf } from "./random.ts";
import { comeToRest, runSeed } from "./story.ts";
import { createWorld, no_troubles, type World } from "./world.ts";
import { quick } from "../support/programs.ts";

const root = join(import.meta.dirname, "../..");
const ref: ActorRef = {
  tenant: "acme",
  kind: "conversation",
  id: "0192a000-0000-7000-8000-000000000001",
};

/**
 * Each part in a process of its own; the last is with workspaces. Every planted bug of `bugs.ts` is
 * caught by one of these seeds; `npm run simulate` runs any number of others.
 */
test.concurrent.each([
  ["1-500", 500],
  ["501-1000", 500],
  ["1901-2000", 100],
  ["1000001-1000100", 100],
])(
  "I1: I2: I3: I4: I5: I7: I12: seeds %s, with everything that a network and a crash can do",
  async (seeds, count) => {
    const words = [...quick, "test/simulation/main.ts", "--seeds", seeds];
    const said = await promisify(execFile)(process.execPath, words, { cwd: root }).then(
      ({ stdout }) => stdout,
      ({ stdout }: { stdout: string }) => stdout,
    );
    expect(said).toMatch(new RegExp(`^${count} seeds, `));
  },
);

test("a seed is the same run every time", async () => {
  const trace = async (seed: number): Promise<string[]> => {
    const lines: string[] = [];
    await runSeed(seed, (line) => lines.push(line));
    return lines;
  };
  for (const seed of [1, 2, 3, 4, 5]) {
    const lines = await trace(seed);
    expect(lines.length).toBeGreaterThan(50);
    expect(await trace(seed)).toEqual(lines);
  }
});

/** A turn, and one that waits behind it; the worker is struck after so many things have happened. */
async function struckAfter(count: number, strike: (world: World) => void): Promise<World> {
  const world = createWorld(randomOf(1), no_troubles);
  world.start();
  const sends: NamedCommand[] = ["one", "two"].map((text) => ({ name: "send", data: { text } }));
  for (const command of sends) world.publish(ref, command, world.ids());
  while (world.schedule.count < count) await world.schedule.next();
  strike(world);
  const stuck = await comeToRest(world);
  expect([...stuck, ...violationsOf(world, false)], `after ${count} steps`).toEqual([]);
  return world;
}

test("I1: I2: I7: a worker that dies at any await at all: another goes on", async () => {
  const whole = await struckAfter(0, () => undefined);
  const ended = whole.schedule.count;
  let restarts = 0;
  // Past a hundred steps both turns stream, and one await is like the other.
  for (let count = 0; count < ended; count += count < 100 ? 1 : 7) {
    const world = await struckAfter(count, ({ workers, start }) => {
      workers[0]?.crash();
      start();
    });
    const events = world.stored.commits(ref).flatMap((commit) => commit.events);
    expect(events.filter(({ type }) => type === "turn.completed")).toHaveLength(2);
    if (events.some(({ type }) => type === "turn.restarted")) restarts += 1;
  }
  expect(restarts).toBeGreaterThan(10);
});

test("I2: I7: a worker that stands still past its lease at any await, beside another", async () => {
  const whole = await struckAfter(0, () => undefined);
  for (let count = 0; count < whole.schedule.count; count += count < 100 ? 3 : 11) {
    await struckAfter(count, ({ workers, start }) => {
      start();
      workers[0]?.pause(5_000);
    });
  }
});
