"use strict";
/**
 * A lock that dies with its process: files `.colloquy-lock-<n>`, of which the highest number names
 * the holder. Whoever finds the holder gone (or done) creates number n + 1, which only one can do,
 * and looks again whether a higher one has come meanwhile. A released lock stays as a file that
 * names nobody, so numbers never start over under the feet of a process that waits.
 */
const fs = require("fs");
const path = require("path");

const prefix = ".colloquy-lock-";
const look_ms = 100;
/** A holder is a process that installs packages; past this it hangs, and a person must look. */
const patience_ms = 15 * 60 * 1000;
/** A file without content is one whose writer has not come to it yet, or died before. */
const unwritten_ms = 5000;

/** When a process started, in the kernel's ticks: tells it from a later one of the same number. */
function startOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").pop().split(" ")[19];
  } catch {
    return "";
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === "EPERM";
  }
}

function numbers(dir) {
  const names = fs.readdirSync(dir).filter((name) => /^\.colloquy-lock-\d+$/.test(name));
  return names.map((name) => Number(name.slice(prefix.length))).sort((a, b) => b - a);
}

/** The process id that holds lock `file`, or 0. */
function holder(file) {
  try {
    const text = fs.readFileSync(file, "utf8");
    if (text === "") return Date.now() - fs.statSync(file).mtimeMs < unwritten_ms ? -1 : 0;
    const { pid, start, group } = JSON.parse(text);
    if (pid > 0 && isAlive(pid) && startOf(pid) === start) return pid;
    return group > 0 && isAlive(-group) ? group : 0;
  } catch (error) {
    return error.code === "ENOENT" ? 0 : -1;
  }
}

/** Replaces a lock file's content in one step, so that nobody reads half of it. */
function write(file, value) {
  fs.writeFileSync(`${file}.next`, JSON.stringify(value));
  fs.renameSync(`${file}.next`, file);
}

/** Tries once: the path of our lock file, or null when another was faster. */
function take(dir, highest) {
  const file = path.join(dir, prefix + (highest + 1));
  const me = { pid: process.pid, start: startOf(process.pid), group: 0 };
  try {
    fs.writeFileSync(file, JSON.stringify(me), { flag: "wx" });
  } catch (error) {
    if (error.code === "EEXIST") return null;
    throw error;
  }
  const all = numbers(dir);
  if (all[0] !== highest + 1) {
    fs.rmSync(file, { force: true });
    return null;
  }
  for (const old of all.slice(1)) fs.rmSync(path.join(dir, prefix + old), { force: true });
  return file;
}

/**
 * Runs `work(lock)` while holding the lock of folder `dir`. `lock.covers(group)` makes a process
 * group part of the holder: the lock outlives our death until that group has ended too.
 */
async function locked(dir, work) {
  const began = Date.now();
  let told = false;
  let file = null;
  while (file === null) {
    const highest = numbers(dir)[0] || 0;
    const who = highest === 0 ? 0 : holder(path.join(dir, prefix + highest));
    if (who === 0) {
      file = take(dir, highest);
      continue;
    }
    if (!told && who > 0) {
      process.stderr.write(`colloquy: waiting for process ${who}, which installs here already …\n`);
      told = true;
    }
    if (Date.now() - began > patience_ms) {
      const text = `process ${who} has been installing here for 15 minutes: end it and start again.`;
      throw Object.assign(new Error(text), { expected: true });
    }
    await new Promise((resolve) => setTimeout(resolve, look_ms));
  }
  const me = { pid: process.pid, start: startOf(process.pid), group: 0 };
  const lock = {
    covers: (group) => write(file, { ...me, group }),
    release: () => write(file, { pid: 0, start: "", group: 0 }),
  };
  try {
    return await work(lock);
  } finally {
    lock.release();
  }
}

module.exports = { locked };
