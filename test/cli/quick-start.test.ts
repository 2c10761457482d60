/** What a start keeps for the next one, on a program of two modules in a folder of its own. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { temporary } from "../support/services.ts";

const folder = temporary("quick-start");
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const cli = join(folder, "cli");
const kept = join(folder, "node_modules/.cache/colloquy", process.version);
mkdirSync(cli);
writeFileSync(join(folder, "package.json"), '{"type":"module"}');
cpSync(join(import.meta.dirname, "../../cli/quick-start.ts"), join(cli, "quick-start.ts"));
writeFileSync(
  join(cli, "main.ts"),
  ["import './quick-start.ts'", "await import('./said.ts')", ""].join(";\n"),
);

const program = (word: string): string =>
  `interface Told { word: string }\nconst told: Told = { word: "${word}" };\nconsole.log(told.word,\n  new Error().stack?.split("said.ts")[1]?.slice(0, 5));\n`;
function says(): string {
  const ran = spawnSync(process.execPath, ["cli/main.ts"], { cwd: folder, encoding: "utf8" });
  expect(ran.stderr).toBe("");
  return ran.stdout;
}
const said = (text: string): void => writeFileSync(join(cli, "said.ts"), text);
/** The file in which the JavaScript of `said.ts` is kept. */
function record(): string {
  const files = readdirSync(kept, { withFileTypes: true }).filter((entry) => entry.isFile());
  expect(files).toHaveLength(1);
  return join(kept, files[0]?.name ?? "");
}

test("the second start reads what the first has made, and errors name the source's lines", () => {
  said(program("one"));
  expect(says()).toMatch(/^one :4:/);
  const file = record();
  expect(readFileSync(file, "utf8")).not.toContain("interface");
  writeFileSync(file, readFileSync(file, "utf8").replace('"one"', '"two"'));
  expect(says()).toMatch(/^two :4:/);
});

test("what is kept of another text is made anew, and so is what is damaged", () => {
  said(program("three"));
  expect(says()).toMatch(/^three :4:/);
  writeFileSync(record(), "//");
  expect(says()).toMatch(/^three :4:/);
  expect(readFileSync(record(), "utf8")).toContain('"three"');
});

test("where nothing can be kept, it starts all the same", () => {
  rmSync(join(folder, "node_modules"), { recursive: true });
  writeFileSync(join(folder, "node_modules"), "");
  expect(says()).toMatch(/^three :4:/);
});
