/**
 * The gates that every change must pass, in one table: `npm run check` runs them one after the
 * other, and test/gates.test.ts runs the same table as part of `npm test`.
 */
export interface Gate {
  name: string;
  /** A JavaScript file, from the root, and its arguments. */
  program: string;
  args: string[];
}

export const gates: Gate[] = [
  { name: "types", program: "node_modules/typescript/bin/tsc", args: ["--noEmit"] },
  { name: "lint", program: "node_modules/oxlint/bin/oxlint", args: ["--type-aware"] },
  { name: "format", program: "node_modules/oxfmt/bin/oxfmt", args: ["--check"] },
  { name: "unused", program: "node_modules/knip/bin/knip.js", args: ["--no-progress"] },
];

/** Held by the test runner in both commands. */
export const tidy: Gate = {
  name: "tidy",
  program: "node_modules/vitest/vitest.mjs",
  args: ["run", "test/tidy.test.ts"],
};
