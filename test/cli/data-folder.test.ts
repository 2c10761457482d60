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
import { afterEach, beforeEach, expect, test } from "vitest";
import { CliError } from "../../cli/config.ts";
import { endOrphans, folderSecret, liveOwner, openDataFolder } from "../../cli/data-folder.ts";
import { checkHead } from "../../cli/head-file.ts";
import { startedAt } from "../../cli/processes.ts";
import { startNatsServer } from "../../streams/server.ts";
import { draft, newRef, said, startSystem } from "../streams/system.ts";
import { empty_head } from "../../schemas/commit.ts";
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
  const module = new URL("../../cli/data-folder.ts", import.meta.url).href;
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
  expect(readdirSync(folder)).toEqual([]);
});

test("a copy of a folder in use is another folder, and a pid that was used again is another process", async () => {
  await otherOwner();
  const copy = `${folder}-copy`;
  cpSync(folder, copy, { recursive: true });
  openDataFolder(copy).release();

  const lock = JSON.parse(readFileSync(join(folder, "lock"), "utf8")) as object;
  writeFileSync(join(folder, "lock"), JSON.stringify({ ...lock, started: "another time" }));
  expect(liveOwner(folder)).toBe(null);
});

test("a damaged lock holds nobody back", () => {
  for (const text of ["", "{", "null", '{"pid":-1}', '{"pid":"1","started":1}']) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "lock"), text);
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
    await expect(checkHead(folder, system.log)).rejects.toThrow(/ends at 1, but it had reached 2/);
    remember(`1 ${"0".repeat(64)}\n`);
    await expect(checkHead(folder, system.log)).rejects.toThrow(/another event at 1/);
    expect(existsSync(join(folder, "head"))).toBe(true);
  } finally {
    await system.stop();
  }
});
