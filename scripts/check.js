/** `npm run check`: every gate, one line each; what a failed one says follows its line. */
import { spawnSync } from "node:child_process";
import { gates, tidy } from "./gates.ts";

const failed = [];
for (const { name, program, args } of [...gates, tidy]) {
  const began = Date.now();
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  console.log(`${status === 0 ? "ok    " : "FAILED"} ${name.padEnd(7)} ${seconds} s`);
  if (status === 0) continue;
  failed.push(name);
  console.log(`${stdout}${stderr}`);
}
if (failed.length > 0) console.log(`failed: ${failed.join(", ")}`);
process.exitCode = failed.length === 0 ? 0 : 1;
