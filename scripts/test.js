/**
 * `npm test [-- <file filters and vitest flags>]`: every suite, the gates of `npm run check` among
 * them. The last line is `N passed, N failed`, from the runner's own counts; a file that cannot be
 * loaded and an error outside any test count as failed. Where `CI_DEMANDS` is set, so does a test
 * that was skipped: CI must run everything.
 */
import { parseCLI, startVitest } from "vitest/node";

const counts = { passed: 0, failed: 0 };
const skipped = [];

const counter = {
  onTestRunEnd(modules, errors) {
    for (const module of modules) {
      counts.failed += module.errors().length;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === "passed") counts.passed += 1;
        else if (state === "failed") counts.failed += 1;
        else skipped.push(`${module.relativeModuleId} > ${test.fullName}`);
      }
      for (const suite of module.children.allSuites()) counts.failed += suite.errors().length;
    }
    counts.failed += errors.length;
  },
};

const { filter, options } = parseCLI(["vitest", "run", ...process.argv.slice(2)]);
const vitest = await startVitest(filter, {
  ...options,
  watch: false,
  reporters: ["default", counter],
});
await vitest.close();
if (process.env["CI_DEMANDS"] && skipped.length > 0) {
  console.log(`\nCI must run every suite, but these were skipped:\n  ${skipped.join("\n  ")}`);
  counts.failed += skipped.length;
}
if (counts.passed + counts.failed === 0) console.log("no test was found");
console.log(`${counts.passed} passed, ${counts.failed} failed`);
const good = counts.failed === 0 && counts.passed > 0;
// What a test left open must not hold the command open, nor a failure end with 0.
process.exit(good ? 0 : 1);
