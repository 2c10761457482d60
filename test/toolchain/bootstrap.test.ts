/**
 * The bootstrap, in clones without a network: what it passes through, and the one sentence it says
 * when it cannot go on. A preloaded line makes this machine look like one that has the trouble.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { freePort, temporary } from "../support/services.ts";

const root = join(import.meta.dirname, "../..");
const made: string[] = [];
const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  for (const dir of made.splice(0)) fs.rmSync(dir, { recursive: true });
});

/** A clone with the bootstrap and nothing installed. */
function clone(): string {
  const dir = temporary("clone");
  made.push(dir);
  fs.cpSync(join(root, "scripts"), join(dir, "scripts"), { recursive: true });
  for (const file of ["package.json", "package-lock.json"]) {
    fs.copyFileSync(join(root, file), join(dir, file));
  }
  return dir;
}

/** A clone that counts as installed; `pinned` is the Node it asks for. */
function installed(pinned: string, program: string): string {
  const dir = clone();
  const file = join(dir, "package.json");
  const text = fs.readFileSync(file, "utf8");
  fs.writeFileSync(file, text.replace(/"node": "22[^"]*"/, `"node": "${pinned}"`));
  fs.mkdirSync(join(dir, "node_modules/node/bin"), { recursive: true });
  fs.symlinkSync(process.execPath, join(dir, "node_modules/node/bin/node"));
  fs.writeFileSync(join(dir, "program.js"), program);
  // The copy's own functions: plain JavaScript, known to the linter by its source only.
  const boot = createRequire(import.meta.url)(join(dir, "scripts/bootstrap.cjs")) as {
    stamp: string;
    fingerprint(): string;
  };
  fs.writeFileSync(boot.stamp, boot.fingerprint());
  return dir;
}

function trouble(
  preload: string,
  env: Record<string, string> = {},
): { text: string; code: number } {
  const dir = clone();
  fs.writeFileSync(join(dir, "preload.cjs"), preload);
  const args = ["-r", join(dir, "preload.cjs"), "scripts/bootstrap.cjs", "program.js"];
  const all = { ...process.env, ...env };
  const done = spawnSync(process.execPath, args, { cwd: dir, encoding: "utf8", env: all });
  expect(done.stdout).toBe("");
  return { text: done.stderr, code: done.status ?? -1 };
}
const pretend = (what: string, value: string): string =>
  `Object.defineProperty(process, "${what}", { value: ${value} });`;

test.for([
  [
    "an old Node",
    pretend("versions", '{ node: "18.20.0" }'),
    {},
    /^colloquy: Node 18\.20\.0 is too old/,
  ],
  [
    "a foreign platform",
    pretend("platform", '"sunos"'),
    {},
    /^colloquy: sunos-\w+ is not supported/,
  ],
  ["no npm", "", { PATH: "", npm_execpath: "" }, /^colloquy: npm is missing/],
  [
    "a folder that cannot be written",
    'require("fs").accessSync = () => { throw Object.assign(new Error("no"), { code: "EACCES" }); };',
    {},
    /^colloquy: no permission to write to .*node_modules/,
  ],
] as const)("%s: one sentence", ([, preload, env, says]) => {
  const { text, code } = trouble(preload, env);
  expect(text).toMatch(says);
  expect(text.trim().split("\n")).toHaveLength(1);
  expect(code).toBe(1);
});

test("no network on the first install: one sentence", async () => {
  const dir = temporary("cache");
  made.push(dir);
  const npm_config_registry = `http://127.0.0.1:${await freePort()}/`;
  const { text, code } = trouble("", { npm_config_registry, npm_config_cache: dir });
  const lines = text.trim().split("\n");
  expect(lines).toHaveLength(2);
  expect(lines[1]).toMatch(/^colloquy: cannot reach the npm registry/);
  expect(code).toBe(1);
});

test.for([
  ["this process", process.versions.node],
  ["a child", "22.0.0"],
])("in %s: arguments and the exit code pass through, and nothing is added", ([, pinned]) => {
  const program = "console.log(JSON.stringify(process.argv.slice(2))); process.exitCode = 7;";
  const dir = installed(pinned ?? "", program);
  const args = ["scripts/bootstrap.cjs", "program.js", "serve", "--flag", "a b"];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    cwd: dir,
    encoding: "utf8",
  });
  expect({ stdout, stderr, status }).toEqual({
    stdout: '["serve","--flag","a b"]\n',
    stderr: "",
    status: 7,
  });
});

test.for([
  ["this process", process.versions.node],
  ["a child", "22.0.0"],
])("in %s: SIGTERM lets it end in its own way", async ([, pinned]) => {
  const program = `
    process.on("SIGTERM", () => setImmediate(() => process.exit(9)));
    setInterval(() => {}, 60000);
    console.log("ready");`;
  const dir = installed(pinned ?? "", program);
  const args = ["scripts/bootstrap.cjs", "program.js"];
  const child = spawn(process.execPath, args, { cwd: dir, stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  await once(child.stdout, "data");
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([9, null]);
});

test("a signal that ends the child ends the bootstrap in the same way", async () => {
  const dir = installed("22.0.0", 'process.kill(process.pid, "SIGKILL");');
  const child = spawn(process.execPath, ["scripts/bootstrap.cjs", "program.js"], { cwd: dir });
  expect(await once(child, "exit")).toEqual([null, "SIGKILL"]);
});

test("one installs at a time, and a lock dies with its process", async () => {
  const dir = temporary("lock");
  made.push(dir);
  const program = `
    const { locked } = require(${JSON.stringify(join(root, "scripts/lock.cjs"))});
    locked(${JSON.stringify(dir)}, async () => {
      console.log("held");
      await new Promise((resolve) => process.stdin.once("data", resolve));
    }).then(() => process.exit(0));`;
  const start = () => {
    const child = spawn(process.execPath, ["-e", program], { stdio: "pipe" });
    children.push(child);
    return child;
  };
  const first = start();
  await once(first.stdout, "data");
  const others = [start(), start(), start()];
  let held = 0;
  await Promise.all(others.map((child) => once(child.stderr, "data")));
  const turns = others.map(async (child) => {
    await once(child.stdout, "data");
    held += 1;
    expect(held).toBe(1);
    held -= 1;
    child.stdin.write("go\n");
    await once(child, "exit");
  });
  first.kill("SIGKILL");
  await Promise.all(turns);
  expect(fs.readdirSync(dir)).toHaveLength(1);
});
