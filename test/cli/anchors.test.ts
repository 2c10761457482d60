/**
 * `colloquy anchors` as an operator uses it: roots of two tenants are made and kept, and tell later
 * that a copy of the data folder holds another history, whose chains are all whole.
 */
import { hash } from "node:crypto";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { anchors } from "../../cli/anchors.ts";
import { runCommand } from "../../cli/line/command.ts";
import { CliError } from "../../cli/line/cli-error.ts";
import { folderSecret, readText } from "../../cli/folder/data-folder.ts";
import { empty_head } from "../../schemas/commit.ts";
import { type ActorRef, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { all_events, commandSubject, liveSubject } from "../../schemas/subjects.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import { follow } from "../../streams/live/following.ts";
import { openLog } from "../../streams/log/log.ts";
import { provision } from "../../streams/provision.ts";
import { startNatsServer } from "../../streams/server.ts";
import { readStored, type StoredCommitBytes } from "../../streams/log/stored-commits.ts";
import { openVault } from "../../streams/content/vault.ts";
import { verifyAnchors } from "../../streams/proof/verify-anchors.ts";
import { all } from "../streams/system.ts";
import { pulse } from "../support/pulse.ts";
import { temporary } from "../support/services.ts";
import { type Served, startServe } from "../system/serve.ts";

interface Printed {
  readonly tenant: string;
  readonly root: string;
  readonly sequence: number;
  readonly chains: number;
}
let folder: string;
let copy: string;
let served: Served;
beforeAll(async () => {
  folder = temporary("anchors");
  copy = temporary("rewritten");
  vi.stubEnv("NATS_URL", undefined);
  served = await startServe(folder);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await served.end("SIGTERM");
  for (const one of [folder, copy]) rmSync(one, { recursive: true, force: true, maxRetries: 10 });
});

/** Runs the command in this process, which is quicker than one of its own. */
async function typed(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const said = { out: "", err: "" };
  const hear = (stream: NodeJS.WriteStream, to: "out" | "err") =>
    vi.spyOn(stream, "write").mockImplementation((text) => {
      said[to] += String(text);
      return true;
    });
  const spies = [hear(process.stdout, "out"), hear(process.stderr, "err")];
  try {
    return { code: await runCommand("anchors", anchors, [...words, "--data", folder]), ...said };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { ...said, code: error.exit, err: error.message };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
async function printed(...words: string[]): Promise<Printed[]> {
  const { code, out, err } = await typed(...words, "--json");
  expect(code, err).toBe(0);
  const lines = out.split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Printed); // what the command under test says
}

/** A conversation that a tenant's own system begins and titles so often. */
async function converse(tenant: string, titles: readonly string[]): Promise<ActorRef> {
  const ref: ActorRef = { tenant, kind: "conversation", id: systemIds() };
  const port = readText(join(folder, "nats", "port")) ?? "";
  const streams = await connectStreams({ url: `nats://127.0.0.1:${port}`, name: "test" });
  const done = pulse();
  let commits = 0;
  const following = follow(streams, liveSubject(ref), () => {
    commits += 1;
    done.beat();
  });
  await following.ready;
  const ask = async (name: string, data: object): Promise<void> => {
    const payload = JSON.stringify({ id: systemIds(), data });
    await streams.js.publish(commandSubject(ref, name), payload);
  };
  await ask("create", {});
  for (const title of titles) await ask("update", { title });
  await done.until(() => commits > titles.length);
  await streams.close();
  return ref;
}

/** The servers of a folder at rest, for as long as something is done to them. */
async function onFolder<T>(path: string, work: (streams: Streams) => Promise<T>): Promise<T> {
  const server = await startNatsServer({ folder: path, port: 0, log: () => undefined });
  const streams = await connectStreams({ url: server.url, name: "test" });
  try {
    return await work(streams);
  } finally {
    await streams.close();
    await server.stop();
  }
}

/** The chain of `id` as it would be had somebody else done what its first commit says. */
function rewritten(id: string): (stored: StoredCommitBytes) => Uint8Array {
  let prev: string | null = null;
  return ({ subject, data }) => {
    if (!subject.endsWith(id)) return data;
    const commit = JSON.parse(Buffer.from(data).toString()) as object;
    const change = prev === null ? { by: { type: "user", id: "eve" } } : { prev };
    const bytes = Buffer.from(JSON.stringify({ ...commit, ...change }));
    prev = hash("sha256", bytes);
    return bytes;
  };
}

test("I3: roots of two tenants that were kept tell a history that was written anew", async () => {
  const victim = await converse("acme", ["one", "two"]);
  await converse("acme", ["three"]);
  await converse("globex", ["four"]);
  expect(await typed()).toEqual({ code: 0, out: "", err: "There are no anchors yet.\n" });
  const made = await printed("make");
  expect(made.map(({ tenant, chains }) => `${tenant} ${chains}`).sort()).toEqual([
    "acme 2",
    "globex 1",
  ]);
  expect(await typed("make")).toMatchObject({
    code: 0,
    err: "Nothing has changed since the last.\n",
  });
  await converse("acme", []);
  const [next] = await printed("make");
  // The third conversation, and the workspace with the anchor before.
  expect(next).toMatchObject({ tenant: "acme", chains: 2 });
  const [kept, globex, ...more] = await printed();
  expect(more).toEqual([]);
  expect(kept).toEqual(next);
  expect(globex).toEqual(made.find(({ tenant }) => tenant === "globex"));
  expect(await printed("list", "--all", "--tenant", "acme")).toHaveLength(2);
  await served.end("SIGTERM");

  // At rest the command starts the server that it needs, and says what it cannot do.
  const { out } = await typed("--tenant", "acme");
  expect(out).toMatch(/^time +tenant +sequence +chains +root\n/);
  expect(out).toContain(`  ${kept?.root}\n`);
  const alone = await typed("make");
  expect(alone).toMatchObject({ code: 1, out: "" });
  expect(alone.err).toMatch(/^Workers make the anchors, and none is there/);

  cpSync(folder, copy, { recursive: true });
  await onFolder(copy, async (streams) => {
    const range = { after: 0, until: 1e9, filter: all_events };
    const stored = await all(readStored(streams, range));
    await streams.jsm.streams.delete("EVENTS");
    await provision(streams, { partitions: limits.partitions_embedded, replicas: 1 });
    const change = rewritten(victim.id);
    for (const one of stored) await streams.js.publish(one.subject, change(one));

    const key = folderSecret(copy, "master-key");
    const log = openLog(streams, await openVault(streams, key));
    const chain = await all(log.read(victim, empty_head));
    expect(chain.map(({ by }) => by.id)).toEqual(["eve", "acme", "acme"]);
    const report = await verifyAnchors(streams, { tenant: null, root: kept?.root ?? "" });
    expect(report).toMatchObject({ anchors: 3, faulty: 1, found: { root: kept?.root } });
    expect(report.faults[0]).toMatchObject({ tenant: "acme" });
    expect(report.faults[0]?.reason).toContain("from sequence 1 to ");
  });
  const report = await onFolder(folder, (streams) =>
    verifyAnchors(streams, { tenant: null, root: kept?.root ?? "" }),
  );
  expect(report).toMatchObject({ anchors: 3, faulty: 0, found: { root: kept?.root } });
});

test("a wrong line is refused with the nearest name", async () => {
  const wrong = await typed("mak");
  expect(wrong).toMatchObject({ code: 2, out: "" });
  expect(wrong.err).toContain("did you mean make?");
  const slug = await typed("--tenant", "A cme");
  expect(slug).toMatchObject({ code: 2, err: "--tenant is a slug of a-z, 0-9 and -." });
});
