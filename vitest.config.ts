/** How the suites run: real services and real processes, so generous limits and few at a time. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/toolchain/fixtures/**"],
    globalSetup: "test/support/run-folder.ts",
    pool: "forks",
    maxWorkers: 2,
    // What a test waits for comes, unless something is wrong: how long it takes is the machine's
    // matter, so no test has a shorter patience of its own.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    teardownTimeout: 20_000,
    allowOnly: false,
    expect: { poll: { timeout: 60_000 } },
  },
});
