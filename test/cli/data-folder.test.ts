/** The data folder: one live owner, secrets that stay, orphans that do not. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CliError } from "../../cli/line/cli-error.ts";
import { endOrphans, folderSecret, openDataFolder } from "../../cli/folder/data-folder.ts";
import { liveOwner } from "../../cli/folder/folder-lock.ts";
import { checkHead } from "../../cli/folder/head-file.ts";
import { startedAt } from "../../cli/folder/processes.ts";
import { startNatsServer } from "../../streams/server.ts";
import { draft, newRef, said, startSystem } from "../streams/system.ts";
import { empty_head } from "../../schemas/commit.ts";
import { layPglite } from "../support/clusters.ts";
import { temporary } from "../support/services.ts";

let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = join(temporary("data"), "data");
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  rmSync(join(folder, ".."), { recursive: true, force: true });
});

/** Another process that locks the folder and lives until it is ended. */
async function otherOwner(): Promise<ChildProcess> {
  const module = new URL("../../cli/folder/data-folder.ts", import.meta.url).href;
  const code = `import { openDataFolder } from ${JSON.stringify(module)};
    openDataFolder(${JSON.stringify(folder)}).announce("http://127.0.0.1:1");
    console.log("locked"); setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  await once(child.stdout ?? process.stdin, "data");
  return child;
}

test("a folder that a live process holds is refused with its pid and address", async () => {
  const other = await otherOwner();
  expect(() => openDataFolder(folder)).toThrow(CliError);
  expect(() => openDataFolder(folder)).toThrow(
    `in use by process ${other.pid} (http://127.0.0.1:1)`,
  );
  expect(liveOwner(folder)).toMatchObject({ pid: other.pid, url: "http://127.0.0.1:1" });
});

test("a lock dies with its process, however that ended", async () => {
  const other = await otherOwner();
  other.kill("SIGKILL");
  await once(other, "exit");
  expect(liveOwner(folder)).toBe(null);
  const mine = openDataFolder(folder);
  expect(liveOwner(folder)?.pid).toBe(process.pid);
  mine.release();
  expect(liveOwner(folder)).toBe(null);
  expect(readdirSync(folder)).toEqual(["lock.2"]);
});

test("of many that find a dead lock at once, one takes the folder", async () => {
  const racers = await Promise.all([1, 2, 3, 4, 5].map(racer));
  for (let round = 0; round < 30; round++) {
    const path = join(folder, String(round));
    mkdirSync(path, { recursive: true });
    const { dev, ino } = statSync(path);
    const dead = { pid: 999_999, started: "once", folder: `${dev}:${ino}`, url: null };
    writeFileSync(join(path, "lock.1"), JSON.stringify(dead));
    const at = Date.now() + 20;
    const said = await Promise.all(racers.map((ask) => ask(`${path} ${at}`)));
    expect(said.toSorted()).toEqual(["in use", "in use", "in use", "in use", "mine"]);
  }
});

/** A process that tries to lock the folder that it is told, at the moment that it is told. */
async function racer(): Promise<(line: string) => Promise<string>> {
  const module = new URL("../../cli/folder/data-folder.ts", import.meta.url).href;
  const code = `import { openDataFolder } from ${JSON.stringify(module)};
    import { createInterface } from "node:readline";
    createInterface({ input: process.stdin }).on("line", (line) => {
      const [path, at] = line.split(" ");
      while (Date.now() < Number(at));
      try { openDataFolder(path); console.log("mine"); }
      catch (error) { console.log(/in use/.exec(error.message)?.[0] ?? error.message); }
    });
    console.log("up");`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  await lines.next();
  return async (line) => {
    child.stdin.write(`${line}\n`);
    return String((await lines.next()).value);
  };
}

test("a copy of a folder in use is another folder, and a pid that was used again is another process", async () => {
  await otherOwner();
  const copy = `${folder}-copy`;
  cpSync(folder, copy, { recursive: true });
  openDataFolder(copy).release();

  const lock = JSON.parse(readFileSync(join(folder, "lock.1"), "utf8")) as object;
  writeFileSync(join(folder, "lock.1"), JSON.stringify({ ...lock, started: "another time" }));
  expect(liveOwner(folder)).toBe(null);
});

test("a damaged lock holds nobody back", () => {
  for (const text of ["", "{", "null", '{"pid":-1}', '{"pid":"1","started":1}']) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "lock.1"), text);
    openDataFolder(folder).release();
  }
});

test("the folder and its secrets are for their owner alone, and secrets stay what they are", () => {
  openDataFolder(folder);
  const made = folderSecret(folder, "secret");
  expect(made).toHaveLength(32);
  expect(folderSecret(folder, "secret")).toEqual(made);
  expect(folderSecret(folder, "master-key")).not.toEqual(made);
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, "secret")).mode & 0o777).toBe(0o600);
  writeFileSync(join(folder, "secret"), "no hex");
  expect(() => folderSecret(folder, "secret")).toThrow(CliError);
});

test("a nats-server that was left behind on the folder is ended, any other process is not", async () => {
  mkdirSync(folder, { recursive: true });
  const server = await startNatsServer({ folder, port: 0, log: () => undefined });
  const { pid } = server;
  await endOrphans(folder, () => undefined);
  expect(startedAt(pid)).toBe(null);
  await server.stop();

  const stranger = spawn("sleep", ["60"]);
  children.push(stranger);
  mkdirSync(join(folder, "nats"), { recursive: true });
  writeFileSync(join(folder, "nats", "nats.pid"), `${stranger.pid}`);
  await endOrphans(folder, () => undefined);
  expect(startedAt(stranger.pid ?? 0)).not.toBe(null);
});

test("a database that hangs without its parent is ended", async () => {
  await layPglite(join(folder, "postgres"));
  const module = new URL("../../projections/pglite-server.ts", import.meta.url).href;
  const code = `import { startPglite } from ${JSON.stringify(module)};
    const { pid } = await startPglite({ folder: ${JSON.stringify(join(folder, "postgres"))}, log() {} });
    process.kill(pid, "SIGSTOP");
    console.log(pid);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(parent);
  const [chunk] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(chunk.toString());
  parent.kill("SIGKILL");
  await once(parent, "exit");
  expect(startedAt(pid)).not.toBe(null);
  const said: string[] = [];
  await endOrphans(folder, (line) => said.push(line));
  expect(startedAt(pid)).toBe(null);
  expect(said).toEqual([expect.stringContaining(`process ${pid}, a pglite-child that was left`)]);
});

test("a log that came back shorter or different is refused with what to restore", async () => {
  const system = await startSystem();
  try {
    mkdirSync(folder, { recursive: true });
    await checkHead(folder, system.log); // nothing is remembered yet
    const appended = await system.log.append(draft(newRef(), [said("hello")]), empty_head);
    const hash = appended.ok ? appended.head.hash : "";
    const remember = (text: string): void => writeFileSync(join(folder, "head"), text);
    remember(`1 ${hash}\n`);
    await checkHead(folder, system.log);
    remember(`2 ${hash}\n`);
    await expect(checkHead(folder, system.log)).rejects.toThrow(
      /seen a commit at 2, but the log ends at 1/,
    );
    remember(`1 ${"0".repeat(64)}\n`);
    await expect(checkHead(folder, system.log)).rejects.toThrow(/another commit at 1/);
    expect(existsSync(join(folder, "head"))).toBe(true);
  } finally {
    await system.stop();
  }
});
