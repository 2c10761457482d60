/**
 * Which process is which: a pid alone is no proof, since it is used again. A process is named by its
 * pid and when it started, and counts as gone when either no longer fits.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, realpathSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** When a running process started, in words that only compare; null when there is none. */
export function startedAt(pid: number): string | null {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  try {
    if (process.platform !== "linux") {
      const said = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" });
      return said.trim() || null;
    }
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in brackets may hold spaces; field 22 is the start in ticks since boot, field 3 the state.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? null : `${boot}:${fields[19] ?? ""}`;
  } catch {
    return null;
  }
}

/** Whether the process runs in this folder, as far as the system tells. */
export function worksIn(pid: number, folder: string): boolean {
  if (process.platform !== "linux") return true;
  try {
    return realpathSync(`/proc/${pid}/cwd`) === realpathSync(folder);
  } catch {
    return false;
  }
}

/** What a process was started as; "" when it is gone. */
export function commandOf(pid: number): string {
  try {
    if (process.platform === "linux") {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    }
    return execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).trim();
  } catch {
    return "";
  }
}

const patience_ms = 5_000;
const look_ms = 20;

/** Ends a process that is not our child: asks first, and forces it after `patience_ms`. */
export async function endProcess(pid: number): Promise<void> {
  const started = startedAt(pid);
  if (started === null) return;
  process.kill(pid, "SIGTERM");
  for (let waited = 0; startedAt(pid) === started; waited += look_ms) {
    if (waited === patience_ms) process.kill(pid, "SIGKILL");
    await sleep(look_ms);
  }
}
