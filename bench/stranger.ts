/**
 * A program that has nothing to do with us and uses a part of a core: that is its argument. It works in
 * stretches of a few milliseconds, as an event loop does.
 */
import { pause } from "./figures.ts";

const share = Math.min(0.98, Number(process.argv[2]));
const stretches_ms = [0.5, 1, 4, 1, 2, 0.5, 8, 2, 1, 3];
process.on("disconnect", () => process.exit(0));
process.stdout.write("working\n");

const began = performance.now();
let worked_ms = 0;
for (let n = 0; ; n++) {
  const { user, system } = process.cpuUsage();
  const until_ms = (user + system) / 1_000 + (stretches_ms[n % stretches_ms.length] ?? 1);
  do {
    const now = process.cpuUsage();
    worked_ms = (now.user + now.system) / 1_000;
  } while (worked_ms < until_ms);
  const ahead_ms = worked_ms / share - (performance.now() - began);
  await pause(Math.max(0, ahead_ms));
}
