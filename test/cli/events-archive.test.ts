/** `colloquy events export` and `import`: a log goes out and comes back as it was, or not at all. */
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { headers } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { exportLog } from "../../streams/archive/export.ts";
import { readConfig } from "../../cli/config.ts";
import { openInstallation } from "../../cli/folder/installation.ts";
import { systemIds } from "../../schemas/ids.ts";
import type { Streams } from "../../streams/connection.ts";
import { temporary } from "../support/services.ts";
import { ran } from "./running.ts";
import { type Made, makeInstallation } from "./installation.ts";

let folder: string;
let made: Made;
beforeAll(async () => {
  folder = temporary("archive");
  vi.stubEnv("NATS_URL", undefined);
  vi.stubEnv("DATABASE_URL", undefined);
  made = await makeInstallation(folder, 2_000);
  // What no release of ours has written must come back, too: whatever stands in the log is the truth.
  await opened(made.rested, async ({ streams }) => {
    const odd = headers();
    odd.append("Odd", "one");
    odd.append("Odd", "two");
    for (const bytes of [
      Buffer.from([0xff, 0, 0x0a]),
      Buffer.from('{"a":1.0,"9":1,"1":2}'),
      Buffer.from('{"a":1,\n"b":2}'),
      Buffer.from(""),
    ]) {
      await streams.js.publish(`evt.acme.document.${systemIds()}`, bytes, { headers: odd });
    }
  });
});
afterAll(() => vi.unstubAllEnvs());
afterAll(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10 }));

async function opened<T>(
  data: string,
  work: (installation: Awaited<ReturnType<typeof openInstallation>>) => Promise<T>,
): Promise<T> {
  const installation = await openInstallation(readConfig({ COLLOQUY_DATA: data }));
  try {
    return await work(installation);
  } finally {
    await installation.close();
  }
}

/** Everything that the log holds, as it lies there. */
const stored = (data: string): Promise<string[]> =>
  opened(data, async ({ streams }) => {
    const found: string[] = [];
    const { state } = await streams.jsm.streams.info("EVENTS");
    for (let seq = 1; seq <= state.last_seq; seq++) found.push(await raw(streams, seq));
    return found;
  });
/** A message as the server gives it out: its headers and its bytes, undecoded. */
async function raw(streams: Streams, seq: number): Promise<string> {
  const answer = await streams.nc.request("$JS.API.STREAM.MSG.GET.EVENTS", JSON.stringify({ seq }));
  const { message } = answer.json<{ message: { subject: string; hdrs?: string; data?: string } }>();
  return JSON.stringify([message.subject, message.hdrs, message.data]);
}

const exporting = (data: string, ...words: string[]) =>
  ran("events", "export", ...words, "--data", data);
const importing = (data: string, from: string) => ran("events", "import", from, "--data", data);
/** A new data folder that has the master key of the old one. */
function newFolder(name: string): string {
  const data = join(folder, name);
  mkdirSync(data);
  cpSync(join(made.rested, "master-key"), join(data, "master-key"));
  return data;
}
const filesOf = (path: string): string[] =>
  readdirSync(path, { recursive: true, encoding: "utf8" });

test("I3: a log goes out and comes back byte by byte, at the same sequences, its chains whole and its texts readable", async () => {
  const out = join(folder, "whole");
  const exported = await exporting(made.rested, out, "--with-keys");
  expect([exported.code, exported.err]).toEqual([0, ""]);
  expect(exported.out).toMatch(/24 commits were written;.* holds 24, up to 24\.\n3 content keys/);
  const data = newFolder("restored");
  const imported = await importing(data, out);
  expect([imported.code, imported.out]).toEqual([
    0,
    "24 commits and 3 content keys were imported.\n",
  ]);
  expect(await stored(data)).toEqual(await stored(made.rested));
  const texts = (from: string): Promise<string[]> =>
    opened(from, async (installation) => {
      const { log } = await installation.log();
      const commits = await Promise.all([1, 2, 20].map((sequence) => log.at(sequence)));
      return commits.map((commit) => JSON.stringify(commit));
    });
  expect(await texts(data)).toEqual(await texts(made.rested));
  expect((await texts(data)).join()).toContain("and more");
  // The four that are no commits are told of in both, and nothing else is.
  const report = await ran("events", "verify", "--json", "--data", data);
  expect(JSON.parse(report.out)).toMatchObject({
    commits: 24,
    findings_total: 4,
    last: 24,
    witnesses: 1,
  });

  const again = await importing(data, out);
  expect([again.code, again.err]).toEqual([
    1,
    "This system is not empty: an export is imported into a new one only.",
  ]);
});

test("an export goes on where it was, and says so in the log", async () => {
  const data = join(folder, "growing");
  cpSync(made.rested, data, { recursive: true });
  const out = join(folder, "daily");
  expect((await exporting(data, out)).out).toContain("24 commits were written");
  // At rest nobody writes the record into the log yet: it waits among the commands.
  const waiting = await opened(data, async ({ streams }) => {
    const { state } = await streams.jsm.streams.info("COMMANDS", { subjects_filter: ">" });
    return Object.keys(state.subjects ?? {}).map((subject) =>
      subject
        .split(".")
        .filter((_, at) => at !== 1 && at !== 4)
        .join("."),
    );
  });
  expect(waiting.toSorted()).toEqual([
    "cmd.acme.workspace.record-export",
    "cmd.zeta.workspace.record-export",
  ]);
  expect((await exporting(data, out)).out).toContain("0 commits were written");
  await opened(data, ({ streams }) => streams.js.publish(`evt.zeta.document.${systemIds()}`, "{}"));
  const more = await exporting(data, out);
  expect(more.out).toMatch(
    /1 commits were written;.* holds 25, up to 25\.\nContent keys are not in it/,
  );
  expect((await importing(newFolder("grown"), out)).code).toBe(0);
  expect(await stored(join(folder, "grown"))).toEqual(await stored(data));
  const other = await exporting(made.rested, out);
  expect([other.code, other.err]).toEqual([1, expect.stringContaining("an export of another log")]);
});

test("an export that was killed goes on behind the last segment that it had finished", async () => {
  const out = join(folder, "killed");
  const options = { folder: out, tenant: null, keys: false, segment_commits: 5 };
  const ended = opened(made.rested, ({ streams }) => {
    const progress = (sequence: number): void => {
      if (sequence === 18) throw new Error("killed");
    };
    return exportLog(streams, { ...options, progress });
  });
  await expect(ended).rejects.toThrow("killed");
  expect((await importing(newFolder("half"), out)).err).toMatch(/was not finished: run it again/);
  const files = (): string[] =>
    filesOf(out)
      .filter((name) => name.endsWith(".zst"))
      .map((name) => `${name} ${statSync(join(out, name)).ino}`);
  const finished = files();
  const looked_at: number[] = [];
  const progress = (sequence: number): void => void looked_at.push(sequence);
  await opened(made.rested, ({ streams }) => exportLog(streams, { ...options, progress }));
  // Three segments of five were finished; their files stay as they are.
  expect(looked_at).toEqual([16, 17, 18, 19, 20, 21, 22, 23, 24]);
  expect(finished).toHaveLength(6);
  expect(files()).toEqual(expect.arrayContaining(finished));
  expect((await importing(newFolder("after-kill"), out)).code).toBe(0);
  expect(await stored(join(folder, "after-kill"))).toEqual(await stored(made.rested));

  const early = join(folder, "killed-early");
  mkdirSync(early);
  writeFileSync(join(early, "manifest.json.part"), "what was not");
  expect((await exporting(made.rested, early)).code).toBe(0);
});

test("what is damaged, missing or a part only is refused before anything is written", async () => {
  const out = join(folder, "refused");
  await exporting(made.rested, out, "--with-keys");
  const [file = ""] = filesOf(join(out, "acme"));
  const path = join(out, "acme", file);
  const bytes = readFileSync(path);
  const data = newFolder("untouched");
  const refusal = async (): Promise<string> => {
    const { code, err } = await importing(data, out);
    expect([code, readdirSync(data)]).toEqual([1, ["master-key"]]);
    return err;
  };
  const flipped = Buffer.from(bytes);
  flipped[bytes.length >> 1] = (flipped[bytes.length >> 1] ?? 0) ^ 1;
  writeFileSync(path, flipped);
  expect(await refusal()).toMatch(/acme\/.* is damaged: its hash is not that of the manifest/);
  rmSync(path);
  expect(await refusal()).toMatch(/acme\/.* is missing/);

  const part = join(folder, "part");
  expect((await exporting(made.rested, part, "--tenant", "zeta")).out).toMatch(/^6 commits/);
  const { code, err } = await importing(data, part);
  expect([code, err]).toEqual([
    1,
    expect.stringContaining("of tenant zeta only: their sequences in the log have gaps"),
  ]);
  expect((await importing(data, join(folder, "nowhere"))).err).toMatch(/holds no export/);
  expect((await exporting(made.rested, made.rested)).err).toMatch(
    /is not empty and holds no export/,
  );
});

test("I10: keys go only where they were asked for, wrapped, and open only with their own master key", async () => {
  const [without, with_keys] = [join(folder, "without"), join(folder, "with")];
  await exporting(made.rested, without);
  expect(filesOf(without).filter((name) => name.startsWith("keys"))).toEqual([]);
  await exporting(made.rested, with_keys, "--with-keys");
  expect(filesOf(with_keys).filter((name) => name.startsWith("keys"))).toHaveLength(1);
  const stranger = join(folder, "stranger");
  mkdirSync(stranger);
  writeFileSync(join(stranger, "master-key"), `${"ab".repeat(32)}\n`);
  const refused = await importing(stranger, with_keys);
  expect([refused.code, refused.err]).toEqual([
    1,
    expect.stringContaining("wrapped by another master key"),
  ]);
  const keyless = join(folder, "keyless");
  expect((await importing(keyless, with_keys)).err).toMatch(
    /put the master key of its installation into/,
  );
  const blank = await importing(keyless, without);
  expect([blank.code, blank.err]).toEqual([
    0,
    expect.stringContaining("cannot be read in this system"),
  ]);
});
