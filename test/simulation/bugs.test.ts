/** Every planted bug is caught: each runs in a copy of the code, until the simulation fails. */
import { execFile } from "node:child_process";
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporary } from "../support/services.ts";
import { type Bug, bugs } from "./bugs.ts";

const root = join(import.meta.dirname, "../..");
const seeds_max = 2_000;

/** What the simulation says of the code with the bug in it. */
async function plant({ file, find, replace, from = 1 }: Bug): Promise<string> {
  const copy = temporary("bug");
  try {
    for (const room of ["actors", "schemas", "streams", "test/simulation", "package.json"]) {
      cpSync(join(root, room), join(copy, room), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const source = readFileSync(join(copy, file), "utf8");
    expect(source.split(find), `the place of the bug in ${file}`).toHaveLength(2);
    writeFileSync(
      join(copy, file),
      source.replace(find, () => replace),
    );
    const words = ["test/simulation/main.ts", "--seeds", `${from}-${from + seeds_max}`];
    return await promisify(execFile)(process.execPath, words, { cwd: copy }).then(
      ({ stdout }) => stdout,
      ({ stdout }: { stdout: string }) => stdout,
    );
  } finally {
    rmSync(copy, { recursive: true });
  }
}

test.concurrent.each(bugs)("the simulation catches: $name", async (bug) => {
  const said = await plant(bug);
  expect(said).toMatch(/^seed \d+:/m);
  expect(said).toMatch(bug.breaks);
});
