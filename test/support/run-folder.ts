/** A folder for what the files of one run of the suites share; gone when it has ended. */
import { chmodSync, rmSync } from "node:fs";
import { run_folder } from "./clusters.ts";
import { temporary } from "./services.ts";

export default function setup(): () => void {
  const folder = temporary("run");
  // Who Postgres runs as finds its own below it.
  chmodSync(folder, 0o711);
  process.env[run_folder] = folder;
  return () => rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}
