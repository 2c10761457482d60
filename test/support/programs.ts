/** How a test starts a program of ours that is not the command: the command sees to it by itself. */
import { join } from "node:path";

/** Flags of Node that halve a start; see cli/quick-start.ts. */
export const quick: readonly string[] = [
  "--import",
  join(import.meta.dirname, "../../cli/quick-start.ts"),
];
