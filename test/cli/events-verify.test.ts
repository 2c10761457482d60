/** `colloquy events verify` on data folders in which one byte has changed, and what `serve` says of them. */
import {
  cpSync,
  existsSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { headWitness, refuseDamage } from "../../cli/folder/head-file.ts";
import { temporary } from "../support/services.ts";
import { colloquy } from "../system/serve.ts";
import { ran } from "./running.ts";
import { blocksOf, flip, type Made, makeInstallation, storeOf } from "./installation.ts";

let folder: string;
let made: Made;
beforeAll(async () => {
  folder = temporary("verify");
  vi.stubEnv("NATS_URL", undefined);
  vi.stubEnv("DATABASE_URL", undefined);
  made = await makeInstallation(folder);
});
afterAll(() => vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));

let copies = 0;
/** A copy of a data folder with something done to it. */
function copyOf(
  from: string,
  change: (store: string, copy: string) => void = () => undefined,
): string {
  const copy = join(folder, `copy-${++copies}`);
  cpSync(from, copy, { recursive: true });
  change(storeOf(copy), copy);
  return copy;
}

interface Report {
  readonly whole: boolean;
  readonly commits: number;
  readonly events: number;
  readonly actors: number;
  readonly last: number;
  readonly witnesses: number;
  readonly findings: readonly {
    readonly what: string;
    readonly first?: number;
    readonly last?: number;
    readonly subject?: string;
    readonly sentence: string;
  }[];
}

async function verified(copy: string, ...words: string[]): Promise<Report & { code: number }> {
  const { code, out, err } = await ran("events", "verify", "--json", "--data", copy, ...words);
  if (out === "") throw new Error(err);
  return { code, ...(JSON.parse(out) as Report) }; // what the command under test says
}
const sentences = ({ findings }: Report): string =>
  findings.map(({ sentence }) => sentence).join(" ");
/** The sequences that are said to be missing. */
const missing = ({ findings }: Report): (number | undefined)[][] =>
  findings.flatMap(({ what, first, last }) =>
    what === "missing" && first !== undefined ? [[first, last]] : [],
  );

describe("I3: one changed byte of the stored log is found and located", () => {
  test("a whole log is whole, stopped or cut off, and needs no key", async () => {
    expect(blocksOf(made.rested)).toHaveLength(2);
    for (const one of [made.rested, made.cut]) {
      const copy = copyOf(one, (_, copied) => rmSync(join(copied, "master-key")));
      const report = await verified(copy);
      expect(report).toMatchObject({ code: 0, whole: true, findings: [] });
      expect(report).toMatchObject({ commits: 20, events: 40, actors: 3, last: 20, witnesses: 1 });
      expect(existsSync(join(copy, "nats", "before-start"))).toBe(false);
    }
    expect(headWitness(made.cut)?.sequence).toBe(17);
  });

  test("in a block that is packed, its commits are missing and their actors are named", async () => {
    for (const at of [0, 40, 3_000_000, -40]) {
      const copy = copyOf(made.rested, (store) => flip(join(store, "msgs", "1.blk"), at));
      const report = await verified(copy);
      expect([report.code, missing(report)]).toEqual([1, [[1, 10]]]);
      const broken = report.findings.filter(({ what }) => what === "broken");
      expect(broken.map(({ subject }) => subject)).toEqual(
        expect.arrayContaining(
          made.refs.map(({ tenant, kind, id }) => `evt.${tenant}.${kind}.${id}`),
        ),
      );
    }
  });

  test("in the block that is written to, whatever part of a record it is in", async () => {
    // Length, sequence, time, subject's length, subject, headers, payload, and the last checksum.
    for (const at of [1, 8, 15, 20, 30, 90, 700_000, -2]) {
      const copy = copyOf(made.rested, (store) => flip(join(store, "msgs", "2.blk"), at));
      const report = await verified(copy);
      expect(report.code, `${at}: ${sentences(report)}`).toBe(1);
      // The first record is the 11th commit; a wrong length takes what comes behind it, too.
      expect([11, 12, 20], String(at)).toContain(
        report.findings.find(({ first }) => first !== undefined)?.first,
      );
    }
  });

  test("behind the `head` file of an installation that was cut off", async () => {
    const copy = copyOf(made.cut, (store) => flip(join(store, "msgs", "2.blk"), -1_000));
    const report = await verified(copy);
    expect(report.code).toBe(1);
    expect(sentences(report)).toMatch(/cut \d+ damaged bytes off/);
    // The server has forgotten it by its next start; the folder has not.
    expect(await verified(copy)).toMatchObject({ code: 1, last: 19 });
    expect(() => refuseDamage(copy)).toThrow(
      /is damaged\. .*Restore .*nats from a backup .* remove .*damaged to go on/,
    );
    rmSync(join(copy, "nats", "damaged"), { recursive: true });
    expect(await verified(copy)).toMatchObject({ code: 0, last: 19 });
  });

  test("a server that removes what it cannot open has taken nothing: the blocks are kept aside", async () => {
    let block = Buffer.alloc(0);
    const copy = copyOf(made.cut, (store) => {
      flip(join(store, "msgs", "1.blk"), 4_000_000);
      block = readFileSync(join(store, "msgs", "1.blk"));
    });
    const report = await verified(copy);
    expect([report.code, report.last]).toEqual([1, 0]);
    expect(sentences(report)).toContain("has seen a commit at 17");
    expect(existsSync(storeOf(copy))).toBe(false);
    const kept = join(copy, "nats", "damaged", "msgs");
    expect(readFileSync(join(kept, "1.blk")).equals(block)).toBe(true);
    expect(existsSync(join(kept, "2.blk"))).toBe(true);
    // The log comes first: no database is looked for.
    const env = { DATABASE_URL: "postgres://127.0.0.1:1/none" };
    const served = await colloquy(["serve"], { folder: copy, env });
    expect([served.code, served.err]).toEqual([1, expect.stringMatching(/could not open the log/)]);
    // It refuses before it makes streams: an empty log would look like a new one.
    expect(existsSync(storeOf(copy))).toBe(false);
  });

  test("in what describes the stream, without which no log is there", async () => {
    for (const [file, at] of [
      ["meta.inf", 100],
      ["meta.sum", 3],
    ] as const) {
      const copy = copyOf(made.rested, (store) => flip(join(store, file), at));
      expect(await verified(copy)).toMatchObject({ code: 1, commits: 0 });
      expect(() => refuseDamage(copy)).toThrow(/could not open the log.*Restore/);
    }
  });

  test("in the index, which says nothing that the blocks do not say: it is no loss", async () => {
    for (const at of [4, 100, -3]) {
      const copy = copyOf(made.rested, (store) => flip(join(store, "msgs", "index.db"), at));
      expect(await verified(copy)).toMatchObject({ code: 0, whole: true, commits: 20 });
    }
  });
});

describe("I1: a log that lost its end is noticed by whoever remembers it", () => {
  test("commits that are gone with their block", async () => {
    const copy = copyOf(made.rested, (store) => {
      rmSync(join(store, "msgs", "2.blk"));
      rmSync(join(store, "msgs", "index.db"));
    });
    const report = await verified(copy);
    expect([report.code, report.last]).toEqual([1, 10]);
    expect(sentences(report)).toContain(
      "The head file has seen a commit at 20, but the log ends at 10",
    );
  });

  test("another log in the same place", async () => {
    const copy = copyOf(made.rested, (_, copied) => {
      writeFileSync(join(copied, "head"), `20 ${"ab".repeat(32)}\n`);
    });
    const report = await verified(copy);
    expect([report.code, sentences(report)]).toEqual([
      1,
      "The head file has seen another commit at 20 than stands there.",
    ]);
  });

  test("a record that a killed server never finished is no loss to `serve`, and `verify` tells it", async () => {
    const copy = copyOf(made.cut, (store) => {
      const block = join(store, "msgs", "2.blk");
      truncateSync(block, statSync(block).size - 300_000);
    });
    expect(await verified(copy)).toMatchObject({ code: 0, last: 19 });
  });
});

test("I1: a damaged log is not written out as if it were whole", async () => {
  const copy = copyOf(made.rested, (store) => flip(join(store, "msgs", "2.blk"), 1_200_000));
  const out = join(folder, "export");
  const { code, err } = await ran("events", "export", out, "--data", copy);
  expect([code, err]).toEqual([
    1,
    "The log cannot be read at 12; colloquy events verify says what is wrong with it.",
  ]);
  expect((await ran("events", "import", out, "--data", join(folder, "new"))).err).toMatch(
    /was not finished/,
  );
});

test("one tenant's, one kind's, one actor's, and a wrong word", async () => {
  const copy = copyOf(made.rested, (store) => flip(join(store, "msgs", "2.blk"), 1_200_000));
  const [first] = made.refs;
  const one = await verified(copy, "--tenant", "zeta");
  expect(one).toMatchObject({ actors: 1, commits: 5 });
  const actor = await verified(copy, "--id", first?.id ?? "");
  expect(actor).toMatchObject({ actors: 1 });
  expect([one.code, sentences(one)]).toEqual([
    1,
    expect.stringContaining("1 of 6 commits cannot be read"),
  ]);
  expect(actor).toMatchObject({ code: 0, whole: true });
  const wrong = await colloquy(["events", "verify", "--kind", "documnt"], { folder: copy });
  expect([wrong.code, wrong.err]).toEqual([2, '"documnt" is no kind; did you mean document?\n']);
});
