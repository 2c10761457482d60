/** How the suites run: real services and real processes, so generous limits and few at a time. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    exclude: ["test/toolchain/fixtures/**"],
    globalSetup: "test/support/run-folder.ts",
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 90_000,
    teardownTimeout: 20_000,
    allowOnly: false,
    // A second, the default, is what a loaded machine takes for one look.
    expect: { poll: { timeout: 20_000 } },
  },
});
