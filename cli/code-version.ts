/**
 * Names the code that folds events into state, so that no snapshot outlives it: a hash of its source.
 * A machine's JSON misses the bodies of its actions, and nobody remembers to raise a number.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What makes state of events; `test/cli/code-version.test.ts` follows their imports. */
export const folding = [
  "actors/table.ts",
  "actors/account/machine.ts",
  "actors/account/state.ts",
  "actors/conversation/machine.ts",
  "actors/conversation/state.ts",
  "actors/workspace/machine.ts",
  "actors/workspace/state.ts",
  "schemas/sharing.ts",
  "schemas/upcasters.ts",
  "node_modules/xstate/package.json",
] as const;

/** SHA-256 over the files, hex. */
export function codeVersion(root: string = join(import.meta.dirname, "..")): string {
  const made = createHash("sha256");
  for (const file of folding) made.update(readFileSync(join(root, file))).update("\0");
  return made.digest("hex");
}
