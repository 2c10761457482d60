/** The examples of docs/CLIENTS.md run as they stand; its React one does in test/web/use-chat.test.ts. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type Running, startRunning } from "../gateway/running.ts";
import { answerTokens } from "../support/model-server-answer.ts";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/CLIENTS.md"), "utf8");

/** The code of a language under a heading. */
function example(heading: string, language: string): string {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? "";
  const code = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(section)?.[1];
  if (code === undefined) throw new Error(`docs/CLIENTS.md has no ${language} under ${heading}`);
  return code;
}

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

/** Runs a program with what the page tells its readers to export; what it prints. */
async function run(command: string, args: readonly string[]): Promise<string> {
  const told = { COLLOQUY_URL: running.gateway.url, TOKEN: await running.token() };
  const env = { PATH: "/usr/bin:/bin", ...told };
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd: root, env, timeout: 60_000 }, (error, out, err) =>
      error === null ? resolve(out) : reject(new Error(`${error.message}\n${err}`)),
    );
  });
}
const node = (code: string): Promise<string> =>
  run(process.execPath, ["--input-type=module", "--eval", code]);

/** What the scripted provider makes of a question's words. */
const answerTo = (question: string): string => answerTokens(question, 5).join("");

test("the agent of AG-UI reads its answer", async () => {
  expect(await node(example("AG-UI: `HttpAgent`", "js"))).toContain(
    answerTo("What is a durable actor?"),
  );
});

test("curl reads both streams, and one of them again", async () => {
  const out = await run("/bin/bash", ["-ec", example("curl", "sh")]);
  const [chat = "", again = "", agent = ""] = out.split("data: [DONE]\n\n");
  const deltas = (text: string): string =>
    [...text.matchAll(/^data: (\{.*\})$/gm)]
      .map(([, json = "{}"]) => JSON.parse(json) as { delta?: string }) // what we write
      .map(({ delta = "" }) => delta)
      .join("");
  expect(deltas(chat)).toBe(answerTo("Hello"));
  expect(deltas(again)).toBe(deltas(chat));
  expect(deltas(agent)).toBe(deltas(chat));
  expect(agent).toContain('"type":"RUN_FINISHED"');
});
