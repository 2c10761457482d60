/**
 * House rules that no compiler or linter checks. Each message says what to do. The floor plan is
 * also in .oxlintrc.json, room by room; here are the exceptions that the linter cannot express.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { expect, test } from "vitest";

const root = process.env["TIDY_ROOT"] ?? join(import.meta.dirname, "..");
/** What git tracks or would track. */
const listing = ["ls-files", "--cached", "--others", "--exclude-standard"];
const files = execFileSync("git", listing, { cwd: root, encoding: "utf8" })
  .split("\n")
  .filter((file) => file !== "" && existsSync(join(root, file)))
  .filter((file) => !file.startsWith("test/toolchain/fixtures/"));
const textOf = (file: string): string => readFileSync(join(root, file), "utf8");
const typescript = files.filter((file) => extname(file) === ".ts");
const markdown = files.filter((file) => extname(file) === ".md");
const imports = /(?:\bfrom|\bimport\(?)\s*"(\.[^"]+)"/g;

/** Relative imports of a file, as paths from the root. */
const importsOf = (file: string): string[] =>
  [...textOf(file).matchAll(imports)].map((found) => join(dirname(file), found[1] ?? ""));

/** Fails with all findings at once, one a line. */
function none(findings: string[]): void {
  expect(findings, `\n${findings.join("\n")}\n`).toEqual([]);
}

test("files of other rooms are imported where the floor plan allows it", () => {
  const rules: [room: RegExp, target: RegExp, then: string][] = [
    [/^gateway\//, /^projections\/(?!queries)/, "the gateway reads through projections/queries"],
    [
      /^retrieval\//,
      /^projections\/(?!queries|postgres)/,
      "retrieval may use projections/postgres and projections/queries only",
    ],
    [/^(?!cli\/|test\/)/, /^cli\//, "nothing imports cli/: pass it in from cli/wire.ts"],
    [/^(?!test\/|vitest\.config\.ts)/, /^test\//, "product code never imports test code"],
  ];
  none(
    typescript.flatMap((file) =>
      importsOf(file).flatMap((target) =>
        rules
          .filter(([room, forbidden]) => room.test(file) && forbidden.test(target))
          .map(([, , then]) => `${file} imports ${target}: ${then}`),
      ),
    ),
  );
});

test("every import names its file with its ending", () => {
  none(
    typescript.flatMap((file) =>
      importsOf(file)
        .filter((target) => !existsSync(join(root, target)))
        .map((target) => `${file} imports ${target}: no such file; write the ending, too`),
    ),
  );
});

test("no file is an orphan", () => {
  const started = /^(cli\/main|test\/faults\/main|bench\/[^/]+|test\/.*\.test|.*\.config)\.ts$/;
  const mentioned = new Set(typescript.flatMap(importsOf));
  const others = files.filter((file) => !file.endsWith(".md")).map((file) => [file, textOf(file)]);
  const used = (file: string): boolean =>
    started.test(file) ||
    mentioned.has(file) ||
    others.some(([other, text]) => other !== file && text?.includes(basename(file)) === true) ||
    others.some(([, text]) => text?.includes(basename(file).replace(/ts$/, "js")) === true);
  none(
    typescript
      .filter((file) => !used(file))
      .map((file) => `${file} is used by nothing: import it where it belongs, or remove it`),
  );
});

test("names say what is in a file", () => {
  const vague = /(^|\/)(utils?|common|shared|helpers?)(\/|\.[a-z]+$)|(^|\/)index\.(ts|js)$/;
  const code = files.filter((file) => /\.(ts|js|cjs)$/.test(file));
  none([
    ...code.filter((f) => vague.test(f)).map((f) => `${f}: name it after what it holds`),
    ...code
      .filter((f) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)+$/.test(basename(f)))
      .map((f) => `${f}: file names are kebab-case`),
  ]);
});

test("banned words do not occur", () => {
  // Not in prose: "any order of them" goes on with another word.
  const prose = "(?! [a-z])";
  const any = ["any"].flatMap((word) => [`: ${word}\\b${prose}`, `\\bas ${word}\\b`]).join("|");
  const ignores = ["ignore", "expect-error", "nocheck"].map((word) => `@ts-${word}`).join("|");
  const casts = ["as", "unknown", "as"].join(" ");
  const notes = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"].join("|");
  const banned: [RegExp, string][] = [
    [new RegExp(`${any}|${ignores}|\\b${casts}\\b`), "give it its real type"],
    [new RegExp(`\\b(${notes})\\b`), "do it now, or open an issue"],
    [new RegExp(`\\btest\\.only\\b|\\bdescribe\\.only\\b`), "run every test"],
  ];
  none(
    typescript.flatMap((file) =>
      textOf(file)
        .split("\n")
        .flatMap((line, at) =>
          banned
            .filter(([word]) => word.test(line))
            .map(([word, then]) => `${file}:${at + 1}: ${word.exec(line)?.[0]}: ${then}`),
        ),
    ),
  );
});

test("files can be read in one sitting", () => {
  const long = typescript.filter((file) => textOf(file).split("\n").length > 401);
  none(long.length > 2 ? long.map((file) => `${file} has over 400 lines: split it`) : []);
});

test("every Markdown file has one title", () => {
  const titles = (file: string): number =>
    textOf(file)
      .replaceAll(/^(```|~~~)[\s\S]*?^\1/gm, "")
      .match(/^# /gm)?.length ?? 0;
  none(
    markdown
      .filter((file) => titles(file) !== 1)
      .map((file) => `${file} has ${titles(file)} titles: begin it with one line "# …"`),
  );
});

test("every invariant names a test that exists, or the issue it comes with", () => {
  const path = "docs/INVARIANTS.md";
  if (!files.includes(path)) return none([`${path} is missing: list I1 to I12 with their tests`]);
  const lines = textOf(path).split("\n");
  const findings = Array.from({ length: 12 }, (_, at) => `I${at + 1}`).flatMap((number) => {
    const start = lines.findIndex((line) =>
      new RegExp(`^(\\||#+|-)?\\s*\\**${number}\\b`).test(line),
    );
    if (start === -1) return [`${path}: ${number} is missing`];
    const next = lines.findIndex((line, at) => at > start && /^(\||#+|-)?\s*\**I\d+\b/.test(line));
    const entry = lines.slice(start, next === -1 ? undefined : next).join("\n");
    const tests = [...entry.matchAll(/test\/[\w./-]+\.test\.ts/g)].map(([name]) => name);
    const held = tests.filter((t) => files.includes(t) && textOf(t).includes(`${number}:`));
    if (held.length > 0 || (tests.length === 0 && /issue/i.test(entry))) return [];
    return [`${path}: ${number} names no test file in which a test's name begins "${number}:"`];
  });
  return none(findings);
});
