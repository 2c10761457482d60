/** docs/PROTOCOL.md and the code name the same frames, the same fields, the same routes. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type Type from "typebox";
import { afterAll, beforeAll, expect, test } from "vitest";
import { publicCommands } from "../../schemas/commands/conversation.ts";
import { errors } from "../../schemas/errors.ts";
import {
  clientFrameChecks,
  clientFrames,
  isClientFrameType,
  type ServerFrame,
} from "../../schemas/frames.ts";
import { Accepted, AuditEntry, Conversation, LoggedEvent, Message } from "../../schemas/http.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { check } from "../../schemas/validate.ts";
import { temporary } from "../support/services.ts";
import { colloquy, type Served, startServe } from "../system/serve.ts";

const root = join(import.meta.dirname, "../..");
const page = readFileSync(join(root, "docs/PROTOCOL.md"), "utf8");
const uuid = "01a1fcee-074a-754f-8a1e-f4618dc401f0";
const block = (heading: string): string =>
  new RegExp(`### ${heading}\\n+\`\`\`\\n([\\s\\S]*?)\`\`\``).exec(page)?.[1] ?? "";
const filled = (text: string): unknown =>
  JSON.parse(text.replaceAll("<uuid>", uuid).replaceAll("<jwt>", "x.y.z"));
const keysOf = (value: object): string[] => Object.keys(value).sort();

test("what a client says on the page is taken, with the fields that the schemas have", () => {
  const seen = block("Client → server")
    .trim()
    .split("\n")
    .map((line) => {
      const [, json = "", more = ""] = /^(\{.*\})\s*(?:optional: (.*))?$/.exec(line) ?? [];
      const frame = filled(json) as { type: string }; // every line has one, or the test fails
      if (!isClientFrameType(frame.type)) throw new Error(`${line}: not a frame`);
      expect(clientFrameChecks[frame.type].parse(frame), line).toMatchObject({ ok: true });
      const named = [...keysOf(frame), ...more.split(/, */).filter((name) => name !== "")];
      expect(named.sort(), line).toEqual(keysOf(clientFrames[frame.type].properties));
      return frame.type;
    });
  expect(seen.sort()).toEqual(keysOf(clientFrames));
});

test("what a client is told is on the page", () => {
  const types: Record<ServerFrame["type"], true> = {
    ...{ ready: true, ack: true, nack: true, event: true, token: true, end: true, pong: true },
    ...{ subscribed: true, unsubscribed: true, watched: true, changed: true, error: true },
    ...{ authenticated: true, removed: true },
  };
  const lines = block("Server → client").trim().split("\n");
  const told = lines.map((line) => /^\{"type":"(\w+)"/.exec(line)?.[1] ?? line);
  expect([...new Set(told)].sort()).toEqual(keysOf(types));
});

test("the shapes on the page are those of the schemas", () => {
  const shown = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json = ""]) => filled(json));
  const shapes: Type.TObject[] = [Conversation, Message, Accepted, LoggedEvent, AuditEntry];
  expect(shown).toHaveLength(shapes.length);
  for (const [at, shape] of shapes.entries()) {
    expect(check(shape).parse(shown[at])).toMatchObject({ ok: true });
    expect(keysOf(shown[at] ?? {})).toEqual(keysOf(shape.properties));
  }
});

test("numbers, close codes and commands are those of the code", () => {
  for (const fact of [
    `at most ${limits.frame_bytes_max / 1024} KiB from the client`,
    `Bodies are at most ${limits.body_bytes_max / 1024} KiB`,
    `up to ${limits.subscriptions_per_socket_max} conversations`,
    `up to ${limits.commands_per_socket_max} commands`,
    `after ${limits.command_answer_ms / 1000} s`,
    `${limits.malformed_frames_max} such frames in ${limits.malformed_frames_window_ms / 1000} s`,
    `${limits.token_warning_ms / 1000} s ahead`,
    `silent for ${limits.socket_idle_s} s`,
    `up to ${limits.page_max}`,
    `up to ${limits.min_seq_wait_ms / 1000} s`,
  ]) {
    expect(page).toContain(fact);
  }
  const closing = Object.values(errors).flatMap(({ close }) => (close === null ? [] : [close]));
  for (const code of closing) expect(page).toContain(String(code));
  const named = /`name` one of ([^;.]*?) and `data`/.exec(page)?.[1] ?? "";
  const names = [...named.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name);
  expect(names.sort()).toEqual(keysOf(publicCommands));
});

let served: Served;
let folder: string;
beforeAll(async () => {
  folder = temporary("docs");
  served = await startServe(folder);
});
afterAll(async () => {
  await served.end("SIGTERM");
});

test("the gateway knows every route of the page, with exactly its methods", async () => {
  const rows = [...page.matchAll(/`(GET|POST|PUT|PATCH|DELETE) (\/[^`\s]*)`/g)];
  const routes = new Map<string, Set<string>>();
  for (const [, method = "", path = ""] of rows) {
    if (path !== "/ws/chat") routes.set(path, (routes.get(path) ?? new Set()).add(method));
  }
  expect(routes.size).toBeGreaterThan(10);
  for (const [path, methods] of routes) {
    const asked = await fetch(`${served.url}${path.replaceAll(/\{\w+\}/g, uuid)}`, {
      method: "PROPFIND",
    });
    const allowed = (asked.headers.get("allow") ?? "").split(", ");
    expect([asked.status, ...allowed.filter((method) => method !== "HEAD").sort()], path).toEqual([
      405,
      ...[...methods].sort(),
    ]);
  }
});

const readme = readFileSync(join(root, "README.md"), "utf8");
/** Every example of a page in this language, in order. */
const examples = (of: string, language: string): string[] =>
  [...of.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, "g"))].map(
    ([, code = ""]) => code,
  );
/** Runs an example where the pages say, with what they tell their readers to export; what it prints. */
async function run(language: "js" | "sh", code: string): Promise<string> {
  const [command, args] =
    language === "sh"
      ? ["/bin/bash", ["-ec", code]]
      : [process.execPath, ["--input-type=module", "--eval", code]];
  const told = { COLLOQUY_URL: served.url, TOKEN: await served.token() };
  const options = { cwd: root, env: { PATH: "/usr/bin:/bin", ...told }, timeout: 60_000 };
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (error, out, err) =>
      error === null ? resolve(out) : reject(new Error(`${error.message}\n${err}`)),
    );
  });
}
/** The README's address is the one that a server has by itself. */
function here(code: string | undefined): string {
  expect(code).toContain("127.0.0.1:8080");
  return (code ?? "").replaceAll("127.0.0.1:8080", new URL(served.url).host);
}
const built_in = "not a language model";
/** What the stream of a turn or of chunks says. */
const textOf = (stream: string): string =>
  [...stream.matchAll(/^data: (\{.*\})$/gm)]
    // What we write.
    .map(([, json = "{}"]) => JSON.parse(json) as { content?: string; choices?: Choice[] })
    .map(({ content, choices }) => content ?? choices?.[0]?.delta.content ?? "")
    .join("");
interface Choice {
  readonly delta: { readonly content?: string };
}

test("the client of the README holds a conversation", async () => {
  const [client, ...more] = examples(readme, "js");
  expect(more).toEqual([]);
  // In the project, where the README says it is saved, `ws` is found; nothing is written there.
  expect(await run("js", here(client))).toContain(built_in);
});

test("curl of the README reads an answer in OpenAI's wire format", async () => {
  const [curl, ...more] = examples(readme, "sh").filter((code) => code.includes("curl"));
  expect(more).toEqual([]);
  const out = await run("sh", here(curl));
  expect(textOf(out)).toContain(built_in);
  expect(out.endsWith("data: [DONE]\n\n")).toBe(true);
});

test("curl of the protocol's page reads a turn to its end", async () => {
  const [curl = "", ...more] = examples(page, "sh");
  expect(more).toEqual([]);
  expect(curl).toContain("<uuid>");
  const out = await run("sh", curl.replace("<uuid>", systemIds()));
  expect(textOf(out)).toContain(built_in);
  expect(out).toMatch(/^event: end\ndata: .*"finish":"stop".*\n\n$/m);
});

test("the official client of the protocol's page prints an answer", async () => {
  const [openai = "", ...more] = examples(page, "js");
  expect(more).toEqual([]);
  expect(await run("js", openai)).toContain(built_in);
});

test("the commands of the README are there", async () => {
  const scripts = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    scripts: Record<string, string>;
  }; // our own package.json
  const named = [...readme.matchAll(/npm (?:run (?:-s )?)?(start|test|check|bench|colloquy)\b/g)];
  for (const [, name = ""] of named) expect(scripts.scripts).toHaveProperty(name);
  const usage = await colloquy(["help"], { folder });
  for (const [, name = ""] of readme.matchAll(/colloquy -- (\w+)/g)) {
    expect(usage.out).toMatch(new RegExp(`^ {2}${name} `, "m"));
  }
});
