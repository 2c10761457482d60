/** The name of the code that folds events changes with that code. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { codeVersion, folding } from "../../cli/code-version.ts";
import { temporary } from "../support/services.ts";

const root = join(import.meta.dirname, "../..");

test("I4: one changed byte of any file that makes state makes another version", () => {
  const copy = temporary("version");
  try {
    for (const file of folding) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      cpSync(join(root, file), join(copy, file));
    }
    const versions = new Set([codeVersion(copy)]);
    expect(versions).toEqual(new Set([codeVersion()]));
    for (const [at, file] of folding.entries()) {
      writeFileSync(join(copy, file), `${readFileSync(join(copy, file), "utf8")} `);
      expect(versions.add(codeVersion(copy)).size, file).toBe(at + 2);
    }
  } finally {
    rmSync(copy, { recursive: true });
  }
});

test("I4: every file of ours that the machine is made of is among them", () => {
  // What events look like is fixed by their versions, and the hash before the first commit for ever;
  // limits bound what an effect is told.
  const elsewhere = new Set(["schemas/limits.ts", "schemas/commit.ts"]);
  for (const file of folding.filter((one) => one.startsWith("actors/"))) {
    const source = readFileSync(join(root, file), "utf8");
    for (const [, path = ""] of source.matchAll(/^import (?!type)[^;]*? from "(\.[^"]+)";/gms)) {
      const target = join(dirname(file), path);
      if (!elsewhere.has(target)) expect(folding).toContain(target);
    }
  }
});
