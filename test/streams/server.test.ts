/** The embedded server under us: supervised, private, and its loss is a pause. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { empty_head, type Head } from "../../schemas/commit.ts";
import { systemIds } from "../../schemas/ids.ts";
import type { Commit } from "../../schemas/commit.ts";
import { followCommits } from "../../streams/live/live.ts";
import { readCommits } from "../../streams/log/reader.ts";
import { type NatsServer, startNatsServer } from "../../streams/server.ts";
import { replayTokens, tokenPort } from "../../streams/live/tokens.ts";
import { provision } from "../../streams/provision.ts";
import { startNats, temporary } from "../support/services.ts";
import { all, type Client, connectClient, draft, newRef, partitions, said } from "./system.ts";
import { connectStreams } from "../../streams/connection.ts";

let folder: string;
let server: NatsServer;
let said_lines: string[];
let client: Client;

const start = (port = 0): Promise<NatsServer> =>
  startNatsServer({ folder, port, log: (line) => said_lines.push(line) });
const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

beforeEach(async () => {
  folder = temporary("embedded");
  said_lines = [];
  server = await start();
  const first = await connectStreams({ url: server.url, name: "provision" });
  await provision(first, { partitions, replicas: 1 });
  await first.close();
  client = await connectClient(server.url);
  await provision(client.streams, { partitions, replicas: 1 });
});
afterEach(async () => {
  await client.streams.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function appended(texts: string[], ref = newRef(), head: Head = empty_head): Promise<Head> {
  const done = await client.log.append(draft(ref, texts.map(said)), head);
  if (!done.ok) throw new Error("conflict");
  return done.head;
}

test("it tells where it runs, listens on loopback alone, and keeps no path of its own", async () => {
  const home = join(folder, "nats");
  expect(readFileSync(join(home, "port"), "utf8")).toBe(`${server.port}\n`);
  expect(Number(readFileSync(join(home, "nats.pid"), "utf8"))).toBe(server.pid);
  const config = readFileSync(join(home, "nats.conf"), "utf8");
  expect(config).toContain("host: 127.0.0.1");
  expect(config).toContain("sync_interval: always");
  expect(config).not.toContain(folder);
  const { pid } = server;
  await server.stop();
  await server.exited;
  expect(alive(pid)).toBe(false);
  expect(existsSync(join(home, "port"))).toBe(false);
});

test("a port that is taken is one sentence", async () => {
  const other = await startNats();
  const starting = startNatsServer({
    folder: temporary("taken"),
    port: other.port,
    log: () => undefined,
  });
  await expect(starting).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("port taken") as string,
  });
  await other.stop();
});

test("I3: what was acknowledged outlives kill -9 of the server, and the line goes on", async () => {
  const ref = newRef();
  let head = await appended(["before"], ref);
  const abort = new AbortController();
  const read: (string | undefined)[] = [];
  const reading = (async () => {
    const options = { after: 0, signal: abort.signal };
    for await (const logged of readCommits(client.streams, client.vault, options)) {
      read.push("events" in logged ? logged.commit : undefined);
      if (read.length === 22) abort.abort();
    }
  })();
  const live: Commit[] = [];
  const following = followCommits(client.streams, client.vault, ref, (commit) => live.push(commit));
  await following.ready;
  const { pid } = server;
  process.kill(pid, "SIGKILL");
  // Appends that meet the outage wait it out, and each still counts once.
  for (let count = 0; count < 20; count++) head = await appended([`after ${count}`], ref, head);
  expect(server.pid).not.toBe(pid);
  expect(said_lines.some((line) => line.includes("ended by itself"))).toBe(true);
  await appended(["last"], ref, head);
  const commits = await all(client.log.read(ref, empty_head));
  expect(commits).toHaveLength(22);
  await reading;
  expect(read).toEqual(commits.map(({ commit }) => commit));
  await expect.poll(() => live.at(-1)?.sequence).toBe(commits.at(-1)?.sequence);
});

test("the memory streams that a restart forgets are made again", async () => {
  const lost = new Promise<void>((resolve) => {
    client.streams.onLink((up) => {
      if (!up) resolve();
    });
  });
  process.kill(server.pid, "SIGKILL");
  await lost;
  const ref = newRef();
  const turn = systemIds();
  const tokens = tokenPort(client.streams, client.log);
  const frames = async (): Promise<number> => {
    tokens.publish(ref, { t: turn, a: 1, s: 1, d: "x" });
    return (await replayTokens(client.streams, ref, turn, 1, 0).catch(() => [])).length;
  };
  await expect.poll(frames).toBe(1);
});

test("a server that is stopped is unavailable within bounds, and closing does not wait for it", async () => {
  const ref = newRef();
  const head = await appended(["one"], ref);
  const reading = client.log.last(ref);
  await reading;
  await server.stop();
  const began = performance.now();
  await client.streams.close();
  expect(performance.now() - began).toBeLessThan(20_000);
  await expect(client.log.append(draft(ref, [said("two")]), head)).rejects.toMatchObject({
    code: "unavailable",
  });
  await expect(client.log.last(ref)).rejects.toMatchObject({ code: "unavailable" });
});
