"use strict";
/**
 * Every npm script begins here: `node scripts/bootstrap.cjs [node flags] <file> [arguments]` (without
 * a file it only installs). It sees
 * to it that the locked dependencies are installed for this machine, then runs the file, given
 * relative to the clone, under the Node that package.json pins.
 *
 * Plain CommonJS in old syntax, Node built-ins only: it runs before anything is installed, and on an
 * old Node it must still parse to say so. It never writes to a tracked file, prints nothing when
 * there is nothing to do, and ends with one sentence, never a stack trace, when it cannot go on.
 */
const { spawn } = require("child_process");
const { createHash } = require("crypto");
const fs = require("fs");
const path = require("path");
const { pathToFileURL } = require("url");

const root = path.dirname(__dirname);
const modules = path.join(root, "node_modules");
const stamp = path.join(modules, ".colloquy-installed");
const manifest = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"));

/** The version of Node that everything but this folder runs on, e.g. "22.1.0". */
const node_version = manifest.dependencies.node;
const node_oldest = 20;

function fail(sentence) {
  process.stderr.write(`colloquy: ${sentence}\n`);
  process.exit(1);
}

function contents(file) {
  try {
    return fs.readFileSync(file);
  } catch (error) {
    if (error.code === "ENOENT") return "";
    throw error;
  }
}

/** Changes when the dependencies, the platform, or (npm's own record) node_modules change. */
function fingerprint() {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch} `);
  for (const file of ["package.json", "package-lock.json", "node_modules/.package-lock.json"]) {
    hash.update(contents(path.join(root, file))).update("\0");
  }
  return hash.digest("hex");
}

/** The npm package that holds Node itself for this platform; `node` installs it by a script. */
function nodePackage() {
  const system = process.platform === "win32" ? "win" : process.platform;
  const prefix = system === "darwin" && process.arch === "arm64" ? "node-bin" : "node";
  return `${prefix}-${system}-${process.arch}`;
}

/** The pinned Node's executable, or null when it is not installed. */
function nodeBinary() {
  const file = process.platform === "win32" ? "node.exe" : "node";
  const places = ["node", nodePackage()].map((name) => path.join(modules, name, "bin", file));
  return places.find((place) => fs.existsSync(place)) || null;
}

function isFresh() {
  return String(contents(stamp)) === fingerprint() && nodeBinary() !== null;
}

/**
 * npm hands a signal to the shell that it runs a script in, which ends without handing it on: we would
 * be left behind. So whoever was started by npm ends, as if told to, when its parent is gone.
 */
function endWithParent() {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  const look = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(look);
    process.kill(process.pid, "SIGTERM");
  }, 200);
  look.unref();
}

/** Runs `args` under the pinned Node: in this very process where it is that Node already. */
function run(args) {
  const at = args.findIndex((arg) => !arg.startsWith("-"));
  if (at === -1) return Promise.resolve();
  endWithParent();
  const file = path.join(root, args[at]);
  if (process.version === `v${node_version}` && at === 0) {
    process.argv = [process.argv[0], file].concat(args.slice(1));
    return import(pathToFileURL(file).href);
  }
  const child_args = args.slice(0, at).concat(file, args.slice(at + 1));
  const child = spawn(nodeBinary(), child_args, { stdio: "inherit" });
  const forward = {};
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    forward[signal] = () => {
      // A terminal sends Ctrl-C to the whole foreground group, so the child has it already.
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    };
    process.on(signal, forward[signal]);
  }
  child.on("error", (error) => fail(`cannot run ${nodeBinary()}: ${error.message}.`));
  child.on("exit", (code, signal) => {
    for (const name of Object.keys(forward)) process.off(name, forward[name]);
    if (signal === null) process.exit(code);
    process.kill(process.pid, signal);
  });
  return Promise.resolve();
}

/** What this file promises, for scripts/colloquy.js; `args` as on the command line. */
async function main(args) {
  try {
    if (Number(process.versions.node.split(".")[0]) < node_oldest) {
      fail(
        `Node ${process.versions.node} is too old: install Node ${node_oldest} or newer from https://nodejs.org.`,
      );
    }
    if (!isFresh()) await require("./install.cjs").install();
  } catch (error) {
    fail(error.expected ? error.message : `the set-up failed: ${error.message}.`);
  }
  await run(args);
}

module.exports = { main, root, modules, stamp, manifest, node_version };
Object.assign(module.exports, { fingerprint, isFresh, nodeBinary, nodePackage });

if (require.main === module) void main(process.argv.slice(2));
