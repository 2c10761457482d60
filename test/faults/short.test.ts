/**
 * One short seed of the fault suite, so that every `npm test` breaks real processes: `npm run
 * test:faults` runs many, and longer. A failure keeps the folder with the logs of all processes.
 */
import { rmSync } from "node:fs";
import { expect, test } from "vitest";
import { temporary } from "../support/services.ts";
import { run } from "./run.ts";

const seed = 18;
const options = { seed, faults: 5, minutes: 0, talkers: 6 };

test("I1: I2: I3: I5: I6: I7: I8: real processes are killed and frozen, and every promise holds", async () => {
  const folder = temporary(`faults-${seed}`);
  const { wrong } = await run({ ...options, folder });
  const again = `npm run test:faults -- --seed ${seed} --seeds 1 --minutes 0 --faults 5 --talkers 6`;
  expect(wrong, `logs: ${folder}\nagain: ${again}`).toEqual([]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});
