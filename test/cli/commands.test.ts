/** The commands as somebody types them, right and wrong, in processes of their own where that shows. */
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { verifyAccessToken } from "../../gateway/auth/access-token.ts";
import { openKeyRing } from "../../gateway/auth/key-ring.ts";
import { folderSecret } from "../../cli/folder/data-folder.ts";
import { liveOwner } from "../../cli/folder/folder-lock.ts";
import type { Readiness } from "../../schemas/http.ts";
import { webAssets } from "../../cli/web-assets.ts";
import { startedAt } from "../../cli/folder/processes.ts";
import { colloquy, environment, startServe } from "../system/serve.ts";
import { layPglite } from "../support/clusters.ts";
import { temporary } from "../support/services.ts";
import { ran } from "./running.ts";

let folder: string;
beforeEach(() => {
  folder = temporary("commands");
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

test.each([
  [["srve"], /"srve" is not a command; did you mean serve\?/],
  [["serve", "--prot", "1"], /--prot is not a flag here; did you mean --port\?/],
  [["serve", "--roles", "gatway"], /"gatway" is not a role; did you mean gateway\?/],
  [["token"], /needs --tenant and --user/],
  [["token", "--tenant", "A", "--user", "u"], /--tenant is a slug/],
  [["token", "--tenant", "a", "--user", "u", "--role", "king"], /--role is one of/],
  [["token", "--tenant", "accounts", "--user", "u"], /the tenant accounts is kept for accounts/i],
  [["token", "--tenant", "a", "--user", "u", "--ttl", "soon"], /--ttl is a time like/],
  [["config", "extra"], /one word too many/],
  [["chat", "--url", "nowhere"], /--url is not a URL/],
  [["help", "servr"], /did you mean serve\?/],
  [["deadletters", "lits"], /did you mean list\?/],
  [["deadletters", "list", "--limit", "0"], /--limit is a number from 1/],
  [["deadletters", "list", "--tenant", "*"], /--tenant is a slug/],
  [["deadletters", "show"], /show needs a letter's number/],
  [["deadletters", "show", ">"], /neither a letter's number nor a command's id/],
  [["deadletters", "retry"], /retry needs the letters to retry, or --all/],
  [["deadletters", "retry", "1", "--all"], /retry needs the letters to retry, or --all/],
  [["deadletters", "drop", "--all"], /say --yes/],
])("colloquy %j is refused with one sentence", async (words, sentence) => {
  vi.stubEnv("COLLOQUY_DATA", folder);
  const { code, out, err } = await ran(...words);
  expect(err).toMatch(sentence);
  expect(err.trim().split("\n")).toHaveLength(1);
  expect([code, out]).toEqual([2, ""]);
  expect(readdirSync(folder)).toEqual([]);
});

test("a sentence of a process of its own goes to stderr, and its end says why", async () => {
  const wrong = [["srve"], ["deadletters", "drop", "--all"]];
  for (const { code, out, err } of await Promise.all(
    wrong.map((words) => colloquy(words, { folder })),
  )) {
    expect(err).toMatch(/^[^\n]*(did you mean serve|say --yes)[^\n]*\n$/);
    expect([code, out]).toEqual([2, ""]);
  }
});

test("token prints a token that the gateway takes, and nothing else", async () => {
  const words = ["token", "--tenant", "acme", "--user", "ann@example.com", "--ttl", "15m"];
  const { code, out, err } = await colloquy(words, { folder });
  expect([code, err]).toEqual([0, ""]);
  const who = verifyAccessToken(
    openKeyRing({ secrets: [folderSecret(folder, "secret")] }),
    out.trim(),
    Date.now(),
  );
  expect(who).toMatchObject({ tenant: "acme", user: "ann@example.com", role: "member" });
  expect(Math.round((who.expires_ms - Date.now()) / 60_000)).toBe(15);
});

test("token signs with the configured key, and a key that is none is one sentence", async () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const path = join(folder, "signing.pem");
  writeFileSync(path, privateKey.export({ format: "pem", type: "pkcs8" }));
  const words = ["token", "--tenant", "acme", "--user", "ann", "--role", "viewer"];
  vi.stubEnv("COLLOQUY_DATA", folder);
  vi.stubEnv("COLLOQUY_SIGNING_KEY", path);
  const signed = await ran(...words);
  const ring = openKeyRing({ secrets: [], signing: privateKey });
  expect(verifyAccessToken(ring, signed.out.trim(), Date.now())).toMatchObject({ role: "viewer" });
  writeFileSync(path, "no key");
  const refused = await ran(...words);
  expect(refused).toMatchObject({ code: 2, out: "" });
  expect(refused.err).toBe(`COLLOQUY_SIGNING_KEY: ${path} holds no key in PEM or JWK form.`);
});

test("token makes the data folder, or says in one sentence why it cannot", async () => {
  const words = ["token", "--tenant", "acme", "--user", "ann"];
  const made = await ran(...words, "--data", join(folder, "not", "yet"));
  expect([made.code, made.err]).toEqual([0, ""]);
  writeFileSync(join(folder, "file"), "");
  const refused = await ran(...words, "--data", join(folder, "file", "data"));
  expect(refused.err).toMatch(/^The data folder .* cannot be used: .*$/);
  expect(refused.code).toBe(1);
});

test("a reader that goes away early is no failure", async () => {
  const child = spawn(process.execPath, ["cli/main.ts", "config"], {
    cwd: join(import.meta.dirname, "../.."),
    env: environment(folder, {}),
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stdout.destroy();
  let err = "";
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  expect(await once(child, "close")).toEqual([0, null]);
  expect(err).toBe("");
});

test("config shows every key and no secret; help and version are there", async () => {
  const secret = "s".repeat(40);
  vi.stubEnv("COLLOQUY_DATA", folder);
  vi.stubEnv("COLLOQUY_SECRET", secret);
  const { out } = await ran("config", "--json");
  const rows = JSON.parse(out) as { key: string; value: string | null; source: string }[];
  expect(rows.find(({ key }) => key === "COLLOQUY_DATA")).toMatchObject({ value: folder });
  expect(rows.find(({ key }) => key === "COLLOQUY_SECRET")?.source).toBe("environment");
  expect(out).not.toContain(secret);
  expect((await ran()).out).toContain("colloquy <command>");
  const help = await ran("deadletters", "drop", "--help");
  expect(help.out).toMatch(/^colloquy deadletters drop <letter or command> …\n/);
  expect(help.out).toMatch(/--yes +I mean it\n/);
  expect((await ran("--version")).out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("doctor says what is wrong, and ends with 1", async () => {
  const well = await colloquy(["doctor"], { folder });
  expect(well.code).toBe(0);
  const ill = await colloquy(["doctor", "--json"], {
    folder,
    env: { OPENAI_BASE_URL: "http://127.0.0.1:1/v1" },
  });
  expect(ill.code).toBe(1);
  const findings = JSON.parse(ill.out) as { check: string; ok: boolean }[];
  expect(findings.filter(({ ok }) => !ok).map(({ check }) => check)).toEqual(["model"]);
});

test("a port that is taken and missing secrets are one sentence each", async () => {
  const taken = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", resolve));
  const address = taken.address();
  const port = typeof address === "object" ? String(address?.port) : "";
  await layPglite(join(folder, "postgres"));
  try {
    const nats = await colloquy(["serve"], { folder, env: { COLLOQUY_NATS_PORT: port } });
    expect(nats.err).toContain(`Port ${port} is taken`);
    const http = await colloquy(["serve", "--port", port], { folder });
    expect(http.err).toContain(`127.0.0.1:${port} is taken`);
    expect([nats.code, http.code]).toEqual([1, 1]);
  } finally {
    taken.close();
  }
  const url = { NATS_URL: "nats://127.0.0.1:1" };
  const secrets = await colloquy(["serve"], { folder, env: url });
  expect(secrets.err).toContain("COLLOQUY_SECRET is required with NATS_URL");
  expect(secrets.err.trim().split("\n")).toHaveLength(1);
});

test("after SIGTERM, and one more of them, everything that was started is gone", async () => {
  const served = await startServe(folder);
  const mine = startedAt(served.pid);
  const response = await fetch(`${served.url}/ready`);
  expect(response.status).toBe(200);
  const { partitions = [] } = (await response.json()) as Readiness; // our own gateway's
  expect(partitions.map(({ partition }) => partition)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(new Set(partitions.map(({ worker }) => worker)).size).toBe(1);
  process.kill(served.pid, "SIGTERM");
  // 1 would say that it had to end itself hard, just before 10 s.
  expect(await served.end("SIGTERM")).toBe(0);
  expect(startedAt(served.pid)).not.toBe(mine);
  // Nothing holds the folder any more: neither a lock nor a server.
  const again = await startServe(folder);
  expect(again.complaints).toEqual([]);
  await again.end("SIGTERM");
});

test("npm start ends with all it started when npm's shell is ended, which tells nobody", async () => {
  await layPglite(join(folder, "postgres"));
  // What npm does: a shell that does not become the program, and the name of the script.
  const shell = spawn("/bin/sh", ["-c", "node scripts/bootstrap.cjs cli/main.ts serve; exit"], {
    cwd: join(import.meta.dirname, "../.."),
    env: { ...environment(folder, { npm_lifecycle_event: "start" }), PATH: process.env["PATH"] },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ready = new Promise((resolve) => {
    createInterface({ input: shell.stdout }).on("line", (line) => {
      if (line.startsWith("Colloquy is ready")) resolve(line);
    });
  });
  await ready;
  const owner = liveOwner(folder)?.pid ?? 0;
  const nats = Number(readFileSync(join(folder, "nats", "nats.pid"), "utf8"));
  expect(startedAt(owner)).not.toBe(null);
  // The pipe is closed when the last process that holds it has ended.
  const ended = once(shell.stdout, "close");
  shell.kill("SIGTERM");
  await ended;
  // A process closes its pipes a moment before it is gone.
  await expect
    .poll(() => [startedAt(owner), startedAt(nats), liveOwner(folder)])
    .toEqual([null, null, null]);
});

test("chat answers one message from a pipe, with a server of its own when none runs", async () => {
  const input = "What is a log? A log is an ordered list of events. It is never changed.";
  await layPglite(join(folder, "postgres"));
  const { code, out } = await colloquy(["chat"], { folder, input });
  expect(code).toBe(0);
  expect(out).toContain("> A log is an ordered list of events.");
  const empty = await colloquy(["chat"], { folder, input: " \n" });
  expect([empty.code, empty.out]).toEqual([2, ""]);
});

test("the page's modules are served as JavaScript that names each other as it is served", () => {
  const assets = webAssets();
  expect([...assets.keys()]).toEqual(
    expect.arrayContaining(["/", "/favicon.svg", "/web/client.js"]),
  );
  for (const [path, { type, bytes, etag }] of assets) {
    expect(etag).toMatch(/^"[\w-]{22}"$/);
    if (!path.endsWith(".js") || path.includes("vendor")) continue;
    expect(type).toContain("javascript");
    const imports = [
      ...Buffer.from(bytes)
        .toString()
        .matchAll(/from "(\.[^"]+)"/g),
    ];
    for (const [, to] of imports)
      expect(assets.has(join("/web", to ?? "")), `${path}: ${to}`).toBe(true);
  }
});
