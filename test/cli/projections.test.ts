/** `colloquy projections` as an operator types it, beside an installation that serves. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { readText } from "../../cli/folder/data-folder.ts";
import { pgliteUrl, portFile } from "../../projections/pglite-server.ts";
import { connectDatabase, type Database } from "../../projections/postgres.ts";
import { temporary } from "../support/services.ts";
import { colloquy, type Served, startServe } from "../system/serve.ts";
import { ran } from "./running.ts";

let folder: string;
let served: Served;
let database: Database;
beforeAll(async () => {
  folder = temporary("projections");
  vi.stubEnv("NATS_URL", undefined);
  vi.stubEnv("DATABASE_URL", undefined);
  served = await startServe(folder);
  await colloquy(["chat", "Hello", "there"], { folder });
  const port = readText(portFile(join(folder, "postgres")));
  database = await connectDatabase(pgliteUrl(Number(port)));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await database?.close();
  await served?.end("SIGTERM");
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

const projections = (...words: string[]) => ran("projections", ...words, "--data", folder);

test("I9: a rebuild beside a running installation, its status, a rollback and a drop", async () => {
  const rebuilt = await projections("rebuild", "--all", "--json");
  const said = rebuilt.out.trim().split("\n");
  expect(JSON.parse(said.at(-1) ?? "")).toMatchObject({ what: "result", done: true });
  expect(said.map((line) => String(JSON.parse(line).what))).toContain("progress"); // any JSON object
  const status = await projections("status");
  expect(status.out).toMatch(/messages +1 +1 +kept/);
  expect(status.out).toMatch(/messages +1 +2 +live +\d+ +0 +0 +[\d.]+ kB/);
  expect((await projections("rollback", "messages")).out).toContain("shows generation 1");
  expect((await projections("drop", "messages")).out).toBe("Dropped of messages: generation 2.\n");
  expect(await projections("rollback", "messages")).toMatchObject({ code: 1 });
  const was = await projections("rebuild", "turns", "--until", "1");
  expect(was.out).toContain("read_until_1.turns");
  expect((await projections("rebuild", "turns", "--until", "2020-01-01")).out).toContain("at 0:");
});

test("I8: verify prints what differs, shortened and fit for a terminal, and exits 1", async () => {
  expect(await projections("verify", "messages")).toMatchObject({ code: 0 });
  const [row] = await database.query("SELECT id::text FROM read.messages WHERE role = 'user'");
  const id = String(row?.["id"]);
  const change = `UPDATE p_messages_1_1.messages SET body = $2 WHERE id = $1`;
  await database.query(change, [id, `\u{1b}[31m${"x".repeat(200)}`]);
  const verified = await projections("verify", "messages");
  expect(verified.code).toBe(1);
  expect(verified.out).toContain(`id ${id}`);
  expect(verified.out).toMatch(/body: "\\+u001b\[31mx+… instead of "Hello there"/);
  expect(verified.out).toContain("messages: 1 row differs at");
  await database.query(change, [id, "Hello there"]);
});

test("I8: what is parked is named by deadletters, and retried", async () => {
  const [row] = await database.query("SELECT tenant, id::text FROM read.conversations");
  const id = String(row?.["id"]);
  const [live] = await database.query(
    "SELECT generation FROM colloquy.generations WHERE name = 'conversations' AND state = 'live'",
  );
  const generation = Number(live?.["generation"]);
  await database.query(`DELETE FROM p_conversations_1_${generation}.conversations`);
  await database.query(
    `INSERT INTO colloquy.parked (projector, version, generation, tenant, kind, id, revision, sequence, reason)
     VALUES ('conversations', 1, $1, $2, 'conversation', $3, 1, 1, 'once it failed')`,
    [generation, String(row?.["tenant"]), id],
  );
  expect((await ran("deadletters", "list", "--data", folder)).out).toContain(
    "Parked in read models: 1;",
  );
  expect((await projections("status")).out).toContain("stands before event 1: once it failed");
  expect(await projections("retry", id)).toMatchObject({ code: 0 });
  expect((await projections("status")).out).not.toContain("once it failed");
  expect(await database.query("SELECT id::text FROM read.conversations")).toEqual([{ id }]);
  expect(await projections("retry", id)).toMatchObject({ code: 1 });
});

test("a wrong line says what is right, before any server is asked", async () => {
  const wrong: [string[], string][] = [
    [["rebuild", "mesages"], "did you mean messages?"],
    [["rebuild"], "Name a read model, or say --all."],
    [["rebuild", "turns", "--until", "yesterday"], "--until is a sequence"],
    [["rebuild", "--al"], "did you mean --all?"],
    [["verfy"], "did you mean verify?"],
    [["drop", "turns", "--generation", "x"], "--generation is the number"],
    [["retry", "x"], "Name an actor by its id"],
  ];
  for (const [words, sentence] of wrong) {
    const { code, err } = await projections(...words);
    expect([code, err], words.join(" ")).toEqual([2, expect.stringContaining(sentence)]);
  }
});
