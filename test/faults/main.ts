/**
 * `npm run test:faults [-- --seed 7 --seeds 10 --minutes 5 --faults 8 --talkers 12 --keep]`: runs the
 * real processes under faults, one seed after the other. Prints every seed with what happened; a
 * failure keeps its folder, names it, and prints the command that replays the seed.
 */
import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { temporary } from "../support/services.ts";
import { run } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string", default: "3" },
    minutes: { type: "string", default: "1" },
    faults: { type: "string", default: "6" },
    talkers: { type: "string", default: "12" },
    keep: { type: "boolean", default: false },
  },
});
const first = Number(values.seed ?? Date.now() % 100_000);
const [seeds, minutes] = [Number(values.seeds), Number(values.minutes)];
const [faults, talkers] = [Number(values.faults), Number(values.talkers)];
for (const [name, value] of Object.entries({ seed: first, seeds, minutes, faults, talkers })) {
  if (!Number.isFinite(value) || value < 0) {
    console.error(`--${name} must be a number, 0 or more.`);
    process.exit(2);
  }
}

// An exit ends what was started; a signal alone would not.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(1));
}

let failed = 0;
for (let seed = first; seed < first + seeds; seed++) {
  const folder = temporary(`faults-${seed}`);
  const began = performance.now();
  console.log(`seed ${seed} …`);
  const { wrong, summary } = await run({ seed, folder, faults, minutes, talkers }).catch(
    // It did not even start, or could not be judged.
    (error: unknown) => ({ wrong: [String(error)], summary: "" }),
  );
  const seconds = Math.round((performance.now() - began) / 1_000);
  console.log(
    `seed ${seed} ${wrong.length === 0 ? "passed" : "FAILED"} in ${seconds} s. ${summary}`,
  );
  if (wrong.length > 0) {
    failed += 1;
    for (const why of wrong.slice(0, 20)) console.log(`  ${why}`);
    if (wrong.length > 20) console.log(`  … and ${wrong.length - 20} more`);
    console.log(`  logs: ${folder}`);
    console.log(
      `  again: npm run test:faults -- --seed ${seed} --seeds 1 --minutes ${minutes} --faults ${faults} --talkers ${talkers}`,
    );
  } else if (values.keep) console.log(`  logs: ${folder}`);
  else rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}
console.log(`${seeds - failed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
