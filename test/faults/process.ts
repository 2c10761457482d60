/**
 * One process of the system under test, that faults end, freeze and start again under the same
 * name. What it writes goes to a file of that name. A process that ends by itself once it was ready
 * is a finding: everything must recover without a restart of ours.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, createReadStream, openSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface Process {
  readonly name: string;
  readonly pid: number;
  /** Starts it and resolves when it says that it is ready; tries again while it cannot start. */
  start(): Promise<void>;
  /** Sends SIGKILL or SIGTERM, also to a frozen one, and waits until it is gone. */
  end(signal: "SIGKILL" | "SIGTERM"): Promise<void>;
  /** SIGSTOP: it lives, and does nothing. */
  freeze(): void;
  /** SIGCONT. */
  thaw(): void;
}

export interface ProcessOptions {
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** The folder of its log. */
  readonly logs: string;
  /** What it says when it is ready. */
  readonly ready: RegExp;
  /** Told once when it ended without being asked. */
  readonly died: (why: string) => void;
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** A process may be started while what it needs is away; it is tried this often. */
const starts_max = 10;
/** Longer than any start on a busy machine; then it counts as stuck. */
const ready_ms = 60_000;

export function processOf(options: ProcessOptions): Process {
  const { name, program, args, env, cwd, logs, ready, died } = options;
  const file = join(logs, `${name}.log`);
  let child: ChildProcess | null = null;
  let gone = Promise.resolve();
  let asked = false;

  /** One run: resolves when it is ready, with a sentence when it ended before. */
  const run = (): Promise<string | null> => {
    appendFileSync(file, `--- ${new Date().toISOString()} started\n`);
    const log = openSync(file, "a");
    const began = spawn(program, [...args], {
      cwd,
      env: { PATH: "/usr/bin:/bin", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child = began;
    asked = false;
    running.add(began);
    let stands = false;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        resolve(`was not ready in ${ready_ms} ms`);
        began.kill("SIGKILL");
      }, ready_ms);
      for (const stream of [began.stdout, began.stderr]) {
        if (stream === null) continue;
        createInterface({ input: stream }).on("line", (line) => {
          appendFileSync(log, `${line}\n`);
          if (stands || !ready.test(line)) return;
          stands = true;
          clearTimeout(timer);
          resolve(null);
        });
      }
      gone = new Promise((over) => {
        began.once("close", (code, signal) => {
          clearTimeout(timer);
          running.delete(began);
          appendFileSync(log, `--- ${new Date().toISOString()} ended with ${code ?? signal}\n`);
          if (stands && !asked) died(`${name} ended by itself with ${code ?? signal}`);
          resolve(`ended with ${code ?? signal} before it was ready`);
          over();
        });
      });
    });
  };

  return {
    name,
    get pid() {
      return child?.pid ?? 0;
    },
    async start() {
      let why: string | null = null;
      for (let tries = 0; tries < starts_max; tries++) {
        why = await run();
        if (why === null || asked) return;
        await gone;
      }
      throw new Error(`${name} does not start: it ${why}; see ${file}`);
    },
    async end(signal) {
      asked = true;
      child?.kill(signal);
      // A frozen process takes no other signal.
      if (signal !== "SIGKILL") child?.kill("SIGCONT");
      await gone;
    },
    freeze() {
      child?.kill("SIGSTOP");
    },
    thaw() {
      child?.kill("SIGCONT");
    },
  };
}

/** The lines of a process's log that match, as they were written. */
export async function linesOf(logs: string, name: string, wanted: RegExp): Promise<string[]> {
  const found: string[] = [];
  const input = createReadStream(join(logs, `${name}.log`));
  for await (const line of createInterface({ input })) if (wanted.test(line)) found.push(line);
  return found;
}
