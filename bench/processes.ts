/** The processes of a run: the system itself, the scripted provider, clients; ended by their pid. */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Sync } from "./figures.ts";

const root = join(import.meta.dirname, "..");
/** Half the time of a start; the command sees to it by itself. */
const quick = ["--import", join(root, "cli/quick-start.ts")];
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** No scenario means the limits that people have, but those that a machine has. */
export const unlimited: Readonly<Record<string, string>> = {
  ...{ COLLOQUY_COMMANDS_PER_MINUTE: "0", COLLOQUY_WS_COMMANDS_PER_MINUTE: "0" },
  ...{ COLLOQUY_TENANT_COMMANDS_PER_MINUTE: "0", COLLOQUY_SIGN_INS_PER_MINUTE: "0" },
  ...{ COLLOQUY_HANDSHAKES_PER_MINUTE: "0", COLLOQUY_CONNECTIONS_PER_USER: "0" },
  COLLOQUY_CONNECTIONS_PER_IP: "0",
};

export interface Program {
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves when it is gone. */
  readonly gone: Promise<void>;
  /** The last that it complained of. */
  trouble(): string;
  /** SIGTERM, and waits until it is gone. */
  end(): Promise<void>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
}

/** Starts one of our programs. */
export function launch(
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Program {
  const child = spawn(process.execPath, [...quick, ...words], {
    cwd: root,
    env: { PATH: "/usr/bin:/bin", ...env },
    stdio: ["pipe", "pipe", "pipe", "ipc"],
  });
  running.add(child);
  let trouble = "";
  child.stderr?.on(
    "data",
    (chunk: Buffer) => (trouble = (trouble + chunk.toString()).slice(-2_000)),
  );
  // What nobody reads must not fill the pipe.
  child.stdout?.resume();
  const gone = new Promise<void>((resolve) => {
    child.once("exit", () => {
      running.delete(child);
      resolve();
    });
  });
  const stop = (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    return gone;
  };
  return {
    pid: child.pid ?? 0,
    child,
    gone,
    trouble: () => trouble,
    end: () => stop("SIGTERM"),
    kill: () => stop("SIGKILL"),
  };
}

/** A program, and what it said first. */
export interface Started extends Program {
  readonly said: RegExpExecArray;
}

/** Starts one of our programs; resolves at the first line of its output that matches. */
export function run(
  words: readonly string[],
  until: RegExp,
  env: Readonly<Record<string, string>> = {},
): Promise<Started> {
  const program = launch(words, env);
  const { stdout } = program.child;
  return new Promise((resolve, reject) => {
    if (stdout === null) return;
    createInterface({ input: stdout }).on("line", (line) => {
      const said = until.exec(line);
      if (said !== null) resolve({ ...program, said });
    });
    void program.gone.then(() =>
      reject(new Error(`${words.join(" ")} ended: ${program.trouble()}`)),
    );
  });
}

let cluster: string | null = null;
/** From here on the embedded databases are copies of this one, instead of 3 s of initialising each. */
export function beginWith(folder: string): void {
  cluster = folder;
}
/** Lays it where an embedded database is about to start. */
export function layCluster(folder: string): void {
  if (cluster !== null) cpSync(cluster, folder, { recursive: true });
}

export interface Served {
  readonly url: string;
  readonly natsUrl: string;
  readonly folder: string;
  /** The process and all that it started. */
  pids(): readonly number[];
  readonly pid: number;
  /** Of the user `bench`, in the tenant `main` or another. */
  token(tenant?: string): Promise<string>;
  end(): Promise<void>;
}

/** `colloquy serve` on a folder of its own. */
export async function serve(
  sync: Sync,
  env: Readonly<Record<string, string>> = {},
): Promise<Served> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  layCluster(join(folder, "postgres"));
  const settings = {
    ...{ COLLOQUY_DATA: folder, COLLOQUY_PORT: "0", COLLOQUY_NATS_PORT: "0" },
    ...{ COLLOQUY_NATS_SYNC: sync, ...unlimited, ...env },
  };
  const program = await run(["cli/main.ts", "serve"], /^Colloquy is ready: (\S+)$/, settings);
  const port = readFileSync(join(folder, "nats", "port"), "utf8").trim();
  return {
    url: program.said[1] ?? "",
    natsUrl: `nats://127.0.0.1:${port}`,
    folder,
    pid: program.pid,
    pids: () => [program.pid, ...childrenOf(program.pid)],
    async token(tenant = "main") {
      const words = ["cli/main.ts", "token", "--tenant", tenant, "--user", "bench"];
      const made = await run(words, /^(\S+)$/, settings);
      return made.said[1] ?? "";
    },
    async end() {
      await program.end();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The scripted provider; `url` is what `OPENAI_BASE_URL` takes. */
export async function provider(
  tokens: number,
  delay_ms: number,
): Promise<{ url: string; pid: number; end(): Promise<void> }> {
  const words = [
    "test/support/model-server.ts",
    "--tokens",
    `${tokens}`,
    "--delay-ms",
    `${delay_ms}`,
  ];
  const program = await run(words, /"url":"([^"]+)"/);
  return { url: program.said[1] ?? "", pid: program.pid, end: program.end };
}

function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => statOf(pid)?.parent === parent);
}

interface Stat {
  readonly parent: number;
  readonly cpu_us: number;
  /** Of its children that have ended. */
  readonly ended_us: number;
}

function statOf(pid: number): Stat | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // Ticks of 10 ms, as Linux tells them.
    const cpu_us = (Number(fields[11]) + Number(fields[12])) * 10_000;
    const ended_us = (Number(fields[13]) + Number(fields[14])) * 10_000;
    return { parent: Number(fields[1]), cpu_us, ended_us };
  } catch {
    return null;
  }
}

/** CPU time that processes have used so far, in microseconds. */
export const cpuOf = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => sum + (statOf(pid)?.cpu_us ?? 0), 0);

/** The same of a process and all that it has started, also what has ended, in microseconds. */
export function cpuOfTree(pid: number): number {
  const stat = statOf(pid);
  if (stat === null) return 0;
  return childrenOf(pid).reduce((sum, one) => sum + cpuOfTree(one), stat.cpu_us + stat.ended_us);
}

/** Memory that a process holds, in bytes. */
export function residentBytes(pid: number): number {
  const kb = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kb ?? 0) * 1024;
}
