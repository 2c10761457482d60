/**
 * A deleted conversation is gone from every byte of the data folder once it was compacted, and
 * everything else is as it was: the chain, the read models, what others said.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { headers } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { endOrphans, folderSecret } from "../../cli/folder/data-folder.ts";
import { pgliteUrl, portFile } from "../../projections/pglite-server.ts";
import { connectDatabase } from "../../projections/postgres.ts";
import { empty_head } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import type { Message, Page } from "../../schemas/http.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandSubject, kvKey, storedCommandFilter, timerFilter } from "../../schemas/subjects.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import { openLog } from "../../streams/log/log.ts";
import { provision } from "../../streams/provision.ts";
import { startNatsServer } from "../../streams/server.ts";
import { openVault } from "../../streams/content/vault.ts";
import { newId } from "../../web/client.ts";
import { type ModelServer, startModelServer } from "../support/model-server.ts";
import { temporary } from "../support/services.ts";
import { all, draft, said } from "../streams/system.ts";
import { colloquy, environment, type Served, startServe } from "./serve.ts";
import { openStory } from "./story.ts";

let folder: string;
let provider: ModelServer;
let served: Served | null = null;
const env = (): Record<string, string> => ({ OPENAI_BASE_URL: provider.url });
beforeEach(async () => {
  folder = temporary("erasure");
  provider = await startModelServer({ tokens: 4 });
});
afterEach(async () => {
  await served?.end("SIGKILL");
  served = null;
  await provider.close();
  await endOrphans(folder, () => undefined);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

const texts = {
  title: "Der Zürcher Titel 5501",
  message: 'Öffne "Tresorfach" 7431\nund nimm die Quitten',
  answer: "Quittengelee 9157 liegt «dort»",
  partial: "Halbfertig-6623",
  queued: "wartende Zeile 8812",
  dead: "unlesbarer Befehl 3391",
  late: "zu spät gesagt 2207",
  feed: "an die Integration 4418",
} as const;
const spoken = "Was die andere sagte 1170";

/** What a text may look like in a file: as it is, in JSON, and in base64 wherever it begins. */
function* shapes(text: string): Generator<Buffer> {
  yield Buffer.from(text);
  yield Buffer.from(JSON.stringify(text).slice(1, -1));
  for (const before of ["", "x", "xx"]) {
    const whole = Buffer.from(before + text).toString("base64");
    // Without the characters that its neighbours share.
    yield Buffer.from(whole.slice(before === "" ? 0 : 4, -4));
  }
}

function* files(path: string): Generator<string> {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const file = join(path, entry.name);
    if (entry.isDirectory()) yield* files(file);
    else if (entry.isFile()) yield file;
  }
}

/** The names of the texts that some file of the folder holds. */
function found(named: Readonly<Record<string, Buffer | string>>): string[] {
  const seen = new Set<string>();
  for (const file of files(folder)) {
    const bytes = readFileSync(file);
    for (const [name, text] of Object.entries(named)) {
      const looks = typeof text === "string" ? [...shapes(text)] : [text];
      if (looks.some((look) => bytes.includes(look))) seen.add(name);
    }
  }
  return [...seen].sort();
}

/** What lies in the stopped folder, read by the servers themselves: blocks may be compressed. */
async function onServers<T>(work: (streams: Streams) => Promise<T>): Promise<T> {
  const server = await startNatsServer({ folder, port: 0, log: () => undefined });
  const streams = await connectStreams({ url: server.url, name: "test" });
  try {
    return await work(streams);
  } finally {
    await streams.close();
    await server.stop();
  }
}

/** Every stored message, as its stream, sequence, subject, time, headers and text. */
async function messages(streams: Streams): Promise<string[]> {
  const lines: string[] = [];
  for await (const { config, state } of streams.jsm.streams.list()) {
    for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
      const message = await streams.jsm.streams.getMessage(config.name, { seq }).catch(() => null);
      if (message === null) continue;
      const { subject, time, header, data } = message;
      // What a message was published behind is not kept by a mirror, and means nothing any more.
      const names = [...header.keys()].filter((key) => !key.startsWith("Nats-Expected-"));
      const named = names.map((key) => `${key}=${header.get(key)}`).join(" ");
      const text = Buffer.from(data).toString("latin1");
      lines.push(`${config.name} ${seq} ${subject} ${time.toISOString()} ${named} ${text}`);
    }
  }
  return lines;
}

/** Every row of every table that is ours, by table, once the read models have come so far. */
async function rows(url: string, position: number): Promise<Record<string, string[]>> {
  const database = await connectDatabase(url);
  try {
    await expect
      .poll(async () => {
        const [row] = await database.query("SELECT min(position) AS position FROM read.positions");
        return Number(row?.["position"]);
      })
      .toBe(position);
    const tables = await database.query(
      `SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
       WHERE table_schema LIKE 'p\\_%' OR table_schema = 'read' ORDER BY 1`,
    );
    const read: Record<string, string[]> = {};
    for (const { name } of tables) {
      const lines = await database.query(
        `SELECT t::text AS line FROM ${String(name)} t ORDER BY 1`,
      );
      read[String(name)] = lines.map(({ line }) => String(line));
    }
    return read;
  } finally {
    await database.close();
  }
}

const databaseUrl = (): string =>
  pgliteUrl(Number(readFileSync(portFile(join(folder, "postgres")), "utf8")));

/** Runs the compaction and kills it at the line that matches. */
async function killedAt(line: RegExp): Promise<void> {
  const child = spawn(process.execPath, ["cli/main.ts", "doctor", "--compact"], {
    ...{ cwd: join(import.meta.dirname, "../.."), env: environment(folder, {}) },
    stdio: ["ignore", "ignore", "pipe"],
  });
  createInterface({ input: child.stderr }).on("line", (said) => {
    if (line.test(said)) child.kill("SIGKILL");
  });
  expect(await once(child, "close")).toEqual([null, "SIGKILL"]);
}

test("after a deletion and a compaction no file holds a word of the conversation, and the rest is as it was", async () => {
  const here = await startServe(folder, env());
  served = here;
  const [gone, kept] = [newId(), newId()];
  const ref: ActorRef = { tenant: "main", kind: "conversation", id: gone };
  const authorization = `Bearer ${await here.token()}`;
  const change = (method: string, body?: object): Promise<Response> =>
    fetch(`${here.url}/api/v1/conversations/${gone}`, {
      method,
      headers: { authorization, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const client = here.client();
  const [story, other] = [openStory(() => undefined), openStory(() => undefined)];
  client.begin(gone, story);
  client.begin(kept, other);
  await client.send(kept, `${spoken} [[tokens:3]]`);
  await other.until(({ frames }) => frames.some(({ type }) => type === "end"));
  await client.send(gone, `${texts.message} [[say:${texts.answer}]]`);
  await story.until(({ frames }) => frames.some(({ type }) => type === "end"));
  expect((await change("PATCH", { title: texts.title })).status).toBeLessThan(300);
  await client.send(gone, `go on [[gate]] [[say:${texts.partial} and much more than that]]`);
  provider.release(3);
  await story.until(({ frames }) => frames.filter(({ type }) => type === "token").length > 1);
  await client.send(gone, texts.queued);

  // A letter, as it comes of a command that cannot be read, and what a feed would say.
  const port = readFileSync(join(folder, "nats", "port"), "utf8").trim();
  const streams = await connectStreams({ url: `nats://127.0.0.1:${port}`, name: "test" });
  await streams.js.publish(commandSubject(ref, "send"), `{"text":"${texts.dead}"`);
  for (const [id, is] of [
    [gone, texts.feed],
    [kept, "of the other"],
  ]) {
    await streams.js.publish(`feed.main.turn.completed.${id}`, JSON.stringify({ is }));
  }
  const info = (name: string) => streams.jsm.streams.info(name);
  await expect.poll(async () => (await info("DEAD")).state.messages).toBe(1);
  const wrapped = await streams.jsm.streams.getMessage("KV_KEYS", {
    last_by_subj: `$KV.KEYS.${kvKey(ref)}`,
  });
  const keys = { key: Buffer.from(wrapped?.data ?? []) };
  expect(keys.key).toHaveLength(60);
  expect(found(keys)).toEqual(["key"]);

  expect((await change("DELETE")).status).toBeLessThan(300);
  await story.until((one) => one.events("conversation.deleted").length === 1);
  await expect.poll(async () => (await info("DEAD")).state.messages).toBe(0);
  const queued = { subjects_filter: storedCommandFilter(ref) };
  await expect
    .poll(async () => (await streams.jsm.streams.info("COMMANDS", queued)).state.subjects ?? null)
    .toBeNull();
  client.close();
  const { last_seq: end } = (await info("EVENTS")).state;
  const rowsBefore = await rows(databaseUrl(), end);
  const fact = (line: string): boolean => line.includes(gone) && line.includes("deleted");
  expect(rowsBefore["read.audit"]?.filter(fact)).toHaveLength(1);
  const [listed = "", ...more] = readFileSync(join(folder, "erasures"), "utf8").split("\n");
  expect([listed.split(" ").slice(1), more]).toEqual([
    ["main", "conversation", gone, String(end)],
    [""],
  ]);
  const refused = await colloquy(["doctor", "--compact"], { folder });
  expect([refused.code, refused.err]).toEqual([
    1,
    expect.stringContaining(`in use by process ${here.pid}`),
  ]);
  await streams.close();
  expect(await here.end("SIGTERM")).toBe(0);

  // One that comes too late, and waits where nobody takes it.
  const before = await onServers(async (on) => {
    const made = headers();
    made.set("Colloquy-Reply", "reply.main.somewhere");
    const payload = JSON.stringify({ id: newId(), data: { text: texts.late } });
    await on.js.publish(commandSubject(ref, "send"), payload, { headers: made });
    return messages(on);
  });
  // The test can fail: what was removed is still there.
  expect(found(texts)).toEqual(Object.keys(texts).sort());

  await killedAt(/building/);
  const { code, out, err } = await colloquy(["doctor", "--compact", "--json"], { folder });
  expect([code, err]).toEqual([
    0,
    expect.stringContaining("erased what was deleted: 1 conversation"),
  ]);
  expect(JSON.parse(out)).toMatchObject({ erased: 1, untouched: [] });
  expect(existsSync(join(folder, "compaction"))).toBe(false);

  expect(found(texts)).toEqual([]);
  expect(found(keys)).toEqual([]);
  const after = await onServers(async (on) => {
    const vault = await openVault(on, folderSecret(folder, "master-key"));
    const log = openLog(on, vault);
    const commits = await all(log.read(ref, empty_head));
    expect(commits.at(-1)?.events.at(-1)?.type).toBe("conversation.deleted");
    expect(commits.at(-1)?.by).toEqual({ type: "user", id: "you" });
    expect(await vault.key(ref, true)).toBeNull();
    // Timers of the others still fire: the server knows of their schedules.
    const timers = { subjects_filter: timerFilter({ ...ref, id: kept }) };
    const { state } = await on.jsm.streams.info("COMMANDS", timers);
    expect(Object.keys(state.subjects ?? {})).toHaveLength(1);
    return messages(on);
  });
  for (const text of Object.values(texts)) {
    const looks = [...shapes(text)].map((shape) => shape.toString("latin1"));
    expect(after.filter((line) => looks.some((look) => line.includes(look)))).toEqual([]);
  }
  // Nothing else is missing, moved or changed.
  const late = (line: string): boolean => line.startsWith("COMMANDS") && line.includes(gone);
  expect(after).toEqual(before.filter((line) => !late(line)));

  served = await startServe(folder, env());
  expect(await rows(databaseUrl(), end)).toEqual(rowsBefore);
  const { items } = await served.get<Page<Message>>(`/api/v1/conversations/${kept}/messages`);
  expect(items[0]?.text).toContain(spoken);
});

test("a folder that was restored from before a deletion deletes again what its list names", async () => {
  const id = newId();
  const ref: ActorRef = { tenant: "main", kind: "conversation", id };
  await onServers(async (on) => {
    await provision(on, { partitions: limits.partitions_embedded, replicas: 1 });
    const log = openLog(on, await openVault(on, folderSecret(folder, "master-key")));
    const begun = event("conversation.started", {
      ...{ origin: "chat", owner: "you", model: null, overlap: "queue" },
    });
    const by = { type: "user", id: "you" } as const;
    await log.append({ ...draft(ref, [begun, said(texts.message)]), by }, empty_head);
  });

  // The list is what was kept elsewhere; the folder is the backup.
  const line = `2026-11-21T11:00:00.000Z main conversation ${id} 1234`;
  writeFileSync(join(folder, "kept"), `${line}\n`);
  const applied = await colloquy(["erasures", "apply", join(folder, "kept"), "--json"], { folder });
  expect([applied.code, applied.err]).toEqual([0, ""]);
  expect(JSON.parse(applied.out)).toEqual({ listed: 1, erased: 1, deleted: 1, unreadable: [] });
  expect(readFileSync(join(folder, "erasures"), "utf8")).toBe(`${line}\n`);

  served = await startServe(folder, env());
  const headers = { authorization: `Bearer ${await served.token()}` };
  const status = async (): Promise<number> =>
    (await fetch(`${served?.url}/api/v1/conversations/${id}`, { headers })).status;
  await expect.poll(status).toBe(410);
  const { out } = await colloquy(["erasures", "list"], { folder });
  expect(out).toMatch(new RegExp(`^\\S+ main conversation ${id} \\d+\\n$`));
});
