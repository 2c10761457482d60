/**
 * Runs seeds of the simulation: `npm run simulate -- --seeds 1-2000` names the first that fails and
 * ends with 1, `npm run simulate -- --seed 17 --trace` shows one, event by event.
 */
import { parseArgs } from "node:util";
import { runSeed } from "./story.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    trace: { type: "boolean", default: false },
  },
});
const [from = 1, to = from] = (values.seeds ?? values.seed ?? "1-1000").split("-").map(Number);
const began = performance.now();
for (let seed = from; seed <= to; seed++) {
  const { violations } = await runSeed(
    seed,
    values.trace ? (line) => console.log(line) : undefined,
  );
  if (violations.length === 0) continue;
  console.log(`seed ${seed}:\n${[...new Set(violations)].join("\n")}`);
  console.log(`again: npm run simulate -- --seed ${seed} --trace`);
  process.exit(1);
}
console.log(`${to - from + 1} seeds, ${Math.round(performance.now() - began)} ms`);
