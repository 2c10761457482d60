/** What the documents say is what the code says. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";
import { documents, written } from "../../cli/documents.ts";

const root = join(import.meta.dirname, "../..");

test.each(Object.entries(documents))("docs/%s is what the code makes of it", (name, make) => {
  expect(written(name)).toBe(make());
});

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

test.each(pages)("every link in %s leads somewhere", (page) => {
  const text = readFileSync(join(root, page), "utf8");
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, path]) => path ?? "");
  const missing = links.filter((path) => !existsSync(join(root, dirname(page), path)));
  expect(missing, relative(root, page)).toEqual([]);
});

test.each(pages)("every file that %s names in code exists", (page) => {
  const text = readFileSync(join(root, page), "utf8");
  const named = [
    ...text.matchAll(
      /`((?:schemas|streams|models|actors|projections|gateway|cli|web|bench|docs|test|scripts)\/[\w./-]+\.\w+)`/g,
    ),
  ].map(([, path]) => path ?? "");
  expect(named.filter((path) => !existsSync(join(root, path)))).toEqual([]);
});

test("every test that SECURITY.md names is there", () => {
  const text = readFileSync(join(root, "docs/SECURITY.md"), "utf8");
  const named = [...text.matchAll(/`(test\/[\w./-]+)` ("[^"]+"(?:(?: and|,) "[^"]+")*)/g)].flatMap(
    ([, file = "", names = ""]) =>
      [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => ({ file, name })),
  );
  expect(named.length).toBeGreaterThan(40);
  const missing = named.filter(
    ({ file, name }) => !readFileSync(join(root, file), "utf8").includes(`"${name}"`),
  );
  expect(missing).toEqual([]);
});

test("every test that an invariant names says in a test's name that it holds it", () => {
  const rows = readFileSync(join(root, "docs/INVARIANTS.md"), "utf8").split("\n");
  const pairs = rows.flatMap((row) => {
    const number = /^\| (I\d+)\b/.exec(row)?.[1];
    if (number === undefined) return [];
    return [...row.matchAll(/`(test\/[^`]+)`/g)].map(([, file = ""]) => ({ number, file }));
  });
  expect(pairs.length).toBeGreaterThan(12);
  const empty = pairs.filter(
    ({ number, file }) =>
      !new RegExp(`["\`](I\\d+: )*${number}: `).test(readFileSync(join(root, file), "utf8")),
  );
  expect(empty).toEqual([]);
});
