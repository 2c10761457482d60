/** How the suites run: real services and real processes, so generous limits and few at a time. */
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/longest-first.ts";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/toolchain/fixtures/**"],
    globalSetup: "test/support/run-folder.ts",
    pool: "forks",
    // One file instead of its 680: each worker would look for them all.
    deps: { optimizer: { ssr: { enabled: true, include: ["typebox", "typebox/compile"] } } },
    // One more than the cores of a small machine: a third of the time is spent waiting for processes.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // What a test waits for comes, unless something is wrong: how long it takes is the machine's
    // matter, so no test has a shorter patience of its own.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    teardownTimeout: 20_000,
    allowOnly: false,
    expect: { poll: { timeout: 60_000 } },
  },
});
