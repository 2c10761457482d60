/** The examples of docs/INTEGRATIONS.md run as they stand, against `colloquy serve`. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort, temporary } from "../support/services.ts";
import { colloquy, type Served, startServe } from "../system/serve.ts";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/INTEGRATIONS.md"), "utf8");
const folder = temporary("integrations");
let served: Served;
let nats = "";
const children: ChildProcess[] = [];

beforeAll(async () => {
  const port = await freePort();
  nats = `nats://127.0.0.1:${port}`;
  const env = {
    ...{ COLLOQUY_NATS_PORT: String(port), COLLOQUY_WEBHOOKS_PRIVATE: "1" },
    COLLOQUY_FEED_READERS: "main",
  };
  served = await startServe(join(folder, "data"), env);
  // The packages that an example imports are found beside it, as in anybody's project.
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await served.end("SIGTERM");
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

/** Starts the example of this name; what it prints. */
function example(name: string, env: Record<string, string>) {
  const code = new RegExp(`\`\`\`js\\n(// ${name}\\.mjs[\\s\\S]*?)\`\`\``).exec(page)?.[1] ?? "";
  expect(code, name).not.toBe("");
  writeFileSync(join(folder, `${name}.mjs`), code);
  const child = spawn(process.execPath, [join(folder, `${name}.mjs`)], {
    env: { PATH: "/usr/bin:/bin", NATS_URL: nats, TENANT: "main", ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  return { lines, ended: once(child, "close") };
}

test("a command by subject, the feed by subject, and a webhook", async () => {
  const words = ["token", "--tenant", "main", "--user", "you", "--role", "owner"];
  const { out } = await colloquy(words, { folder: join(folder, "data") });
  const send = async (path: string, body: object): Promise<Response> =>
    fetch(`${served.url}/api/v1/webhooks${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${out.trim()}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const port = await freePort();
  const made = await send("", {
    ...{ url: `http://127.0.0.1:${port}/hooks`, types: ["turn.completed"] },
  });
  expect(made.status).toBe(201);
  const { id, secret } = (await made.json()) as { id: string; secret: string }; // as FEED's page says
  const receive = example("receive", { PORT: String(port), WEBHOOK_SECRET: secret });
  // What is not there yet is posted to again, but only after a while.
  const answers = () => fetch(`http://127.0.0.1:${port}`, { method: "POST" }).then(({ ok }) => !ok);
  await expect.poll(() => answers().catch(() => false)).toBe(true);
  expect((await send(`/${id}/test`, {})).status).toBe(202);

  const ask = example("ask", {});
  await ask.ended;
  expect(JSON.parse(ask.lines[0] ?? "")).toMatchObject({ ok: true, revision: 3 });

  const read = example("read", {});
  await read.ended;
  expect(read.lines.join("\n")).toContain("An event is a fact.");
  // A text has lines of its own.
  const types = (): string[] => receive.lines.flatMap((line) => /^colloquy\.\S+/.exec(line) ?? []);
  await expect
    .poll(() => types().toSorted())
    .toEqual(["colloquy.turn.completed.v1", "colloquy.webhook.tested.v1"]);
});
