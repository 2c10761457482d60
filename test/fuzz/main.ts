/**
 * `npm run test:fuzz [-- --seed 7 --minutes 5 --attackers 6]`: fuzzes a whole Colloquy over HTTP,
 * WebSocket and TCP. The seed makes the same inputs; what meets what is the machine's. A failure keeps
 * its folder and prints what was wrong.
 */
import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { temporary } from "../support/services.ts";
import { run } from "./run.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    minutes: { type: "string", default: "5" },
    attackers: { type: "string", default: "6" },
  },
});
const seed = Number(values.seed ?? Date.now() % 100_000);
const [minutes, attackers] = [Number(values.minutes), Number(values.attackers)];
for (const [name, value] of Object.entries({ seed, minutes, attackers })) {
  if (!Number.isFinite(value) || value <= 0) {
    console.error(`--${name} must be a number above 0.`);
    process.exit(2);
  }
}
// An exit ends what was started; a signal alone would not.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => process.exit(1));
}

const folder = temporary(`fuzz-${seed}`);
console.log(`seed ${seed}, ${minutes} minutes …`);
const { wrong, summary } = await run({ seed, folder, minutes, attackers });
console.log(summary);
for (const why of wrong.slice(0, 40)) console.log(`  ${why}`);
if (wrong.length > 40) console.log(`  … and ${wrong.length - 40} more`);
if (wrong.length > 0) console.log(`  the data folder: ${folder}`);
else rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
console.log(wrong.length === 0 ? "1 passed, 0 failed" : "0 passed, 1 failed");
process.exit(wrong.length === 0 ? 0 : 1);
