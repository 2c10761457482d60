/**
 * Each gate of `npm run check` can fail: every fixture breaks one rule, and the gate must say so.
 * Fixtures end in `.txt`, so that no tool takes them for code of ours; a copy drops that ending.
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { gates, tidy } from "../../scripts/gates.ts";
import { temporary } from "../support/services.ts";

const root = join(import.meta.dirname, "../..");
const settings = [".oxlintrc.json", ".oxfmtrc.json", "knip.json", "package.json", "tsconfig.json"];
const made: string[] = [];
afterEach(() => {
  for (const dir of made.splice(0)) fs.rmSync(dir, { recursive: true });
});

/** A project with our settings and the files of one fixture. */
function project(fixture: string): string {
  const dir = temporary("gate");
  made.push(dir);
  for (const file of settings) fs.copyFileSync(join(root, file), join(dir, file));
  fs.symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  const source = join(import.meta.dirname, "fixtures", fixture);
  for (const file of fs.readdirSync(source, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".txt")) continue;
    fs.cpSync(join(source, file), join(dir, file.slice(0, -".txt".length)));
  }
  return dir;
}

function run(name: string, dir: string): SpawnSyncReturns<string> {
  const gate = [...gates, tidy].find((candidate) => candidate.name === name);
  const args = [join(root, gate?.program ?? ""), ...(gate?.args ?? [])];
  if (name !== "tidy") return spawnSync(process.execPath, args, { cwd: dir, encoding: "utf8" });
  // House rules are a suite of the project: it runs there and looks at the fixture.
  spawnSync("git", ["init", "-q"], { cwd: dir });
  fs.writeFileSync(join(dir, ".gitignore"), "node_modules\n");
  const env = { ...process.env, TIDY_ROOT: dir, NO_COLOR: "1" };
  return spawnSync(process.execPath, args, { cwd: root, encoding: "utf8", env });
}

test.for([
  ["types", "types", /TS2322/],
  ["lint", "room", /no-restricted-imports[\s\S]*gateway\/ may import only/],
  ["lint", "room", /no-restricted-imports[\s\S]*cache\/ may import only schemas/],
  ["lint", "room", /no-restricted-imports[\s\S]*integrations\/ may import only/],
  ["lint", "library", /no-restricted-imports[\s\S]*lives in another room/],
  ["lint", "library", /lives in another room[^\n]*; cli\/ uses/],
  ["lint", "cycle", /no-cycle/],
  ["lint", "any", /no-explicit-any/],
  ["lint", "promise", /no-floating-promises/],
  ["lint", "environment", /no-process-env/],
  ["format", "format", /ugly\.ts/],
  ["unused", "unused", /unused\.ts/],
] as const)("the gate %s refuses the fixture %s", ([gate, fixture, says]) => {
  const { status, stdout, stderr } = run(gate, project(fixture));
  expect(stdout + stderr).toMatch(says);
  expect(status).toBeGreaterThan(0);
});

test("house rules refuse what breaks them, and say what to do", () => {
  const { status, stdout, stderr } = run("tidy", project("tidy"));
  for (const finding of [
    "gateway/reads.ts imports projections/rows.ts: the gateway reads through projections/queries",
    "gateway/reads.ts imports gateway/gone.ts: no such file",
    "gateway/reads.ts is used by nothing",
    "schemas/utils.ts: name it after what it holds",
    "schemas/utils.ts:2: : ANY: give it its real type".replace("ANY", "any"),
    "do it now, or open an issue",
    "README.md has 2 titles",
    'I1 names no test file in which a test\'s name begins "I1:"',
    "I2 is missing",
  ]) {
    expect(stdout + stderr).toContain(finding);
  }
  expect(status).toBe(1);
});

test.for(["types", "lint", "format"])("the gate %s accepts a good file", (gate) => {
  const { status, stdout, stderr } = run(gate, project("clean"));
  expect(status, stdout + stderr).toBe(0);
});
