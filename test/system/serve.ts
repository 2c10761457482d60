/** `colloquy serve` as a process of its own, on a data folder of the test. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type Client, connect } from "../../web/client.ts";
import { layPglite } from "../support/clusters.ts";

const root = join(import.meta.dirname, "../..");

export interface Served {
  readonly url: string;
  readonly pid: number;
  /** Everything it has written to stderr. */
  readonly complaints: readonly string[];
  token(tenant?: string, user?: string): Promise<string>;
  /** An HTTP request as a user; parsed JSON. */
  get<T>(path: string): Promise<T>;
  client(tenant?: string, user?: string): Client;
  /** Sends a signal and waits for the end: the exit code, null after a kill. */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** The environment of a test's process: nothing of the machine's own configuration. */
export const environment = (folder: string, more: Record<string, string>): NodeJS.ProcessEnv => ({
  PATH: "/usr/bin:/bin",
  COLLOQUY_DATA: folder,
  COLLOQUY_PORT: "0",
  COLLOQUY_NATS_PORT: "0",
  ...more,
});

/** Runs a command of the program to its end. */
export async function colloquy(
  words: readonly string[],
  options: { folder: string; env?: Record<string, string>; input?: string },
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, ["cli/main.ts", ...words], {
    cwd: root,
    env: environment(options.folder, options.env ?? {}),
    stdio: ["pipe", "pipe", "pipe"],
  });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  child.stdin.end(options.input ?? "");
  const [code] = (await once(child, "close")) as [number | null];
  return { code, out, err };
}

/** A process of one role that has no address. */
export interface Part {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  readonly complaints: readonly string[];
  /** Lines of its output. */
  readonly said: readonly string[];
}

/** Starts it and does not wait for it. */
export function startPart(folder: string, env: Record<string, string>, role: string): Part {
  const child = spawn(process.execPath, ["cli/main.ts", "serve", "--roles", role], {
    ...{ cwd: root, env: environment(folder, env), stdio: ["ignore", "pipe", "pipe"] },
  });
  running.add(child);
  const complaints: string[] = [];
  const said: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => complaints.push(line));
  createInterface({ input: child.stdout }).on("line", (line) => said.push(line));
  const ended = once(child, "close").finally(() => running.delete(child));
  return { process: child, ended, complaints, said };
}

const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** Starts it, on a database that is initialised already; resolves at its ready line. */
export async function startServe(
  folder: string,
  env: Record<string, string> = {},
  words: readonly string[] = [],
): Promise<Served> {
  if (env["DATABASE_URL"] === undefined) await layPglite(join(folder, "postgres"));
  const child = spawn(process.execPath, ["cli/main.ts", "serve", ...words], {
    cwd: root,
    env: environment(folder, env),
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  const complaints: string[] = [];
  createInterface({ input: child.stderr }).on("line", (line) => complaints.push(line));
  const gone = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      running.delete(child);
      resolve(code);
    });
  });
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const found = /^Colloquy is ready: (https?:\S+)$/.exec(line)?.[1];
      if (found !== undefined) resolve(found);
    });
    void gone.then((code) => reject(new Error(`it ended with ${code}: ${complaints.join("\n")}`)));
  });
  const tokens = new Map<string, Promise<string>>();
  const token = (tenant = "main", user = "you"): Promise<string> => {
    const key = `${tenant} ${user}`;
    const known = tokens.get(key);
    if (known !== undefined) return known;
    const words = ["token", "--tenant", tenant, "--user", user];
    const made = colloquy(words, { folder, env }).then(({ out }) => out.trim());
    tokens.set(key, made);
    return made;
  };
  return {
    url,
    pid: child.pid ?? 0,
    complaints,
    token,
    async get<T>(path: string) {
      const headers = { authorization: `Bearer ${await token()}` };
      let response = await fetch(`${url}${path}`, { headers });
      // `stale`: the machine is busy, and the read model comes later; whoever reads asks again.
      while (response.status === 504) response = await fetch(`${url}${path}`, { headers });
      if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    },
    client: (tenant, user) =>
      connect({ url: `${url.replace("http", "ws")}/ws/chat`, token: () => token(tenant, user) }),
    end(signal) {
      child.kill(signal);
      return gone;
    },
  };
}
