/** The embedded NATS server dies or stands still under `colloquy serve`, which goes on (I5, I6, I7). */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { endOrphans } from "../../cli/folder/data-folder.ts";
import type { Message, Page } from "../../schemas/http.ts";
import { newId } from "../../web/client.ts";
import { type ModelServer, startModelServer } from "../support/model-server.ts";
import { temporary } from "../support/services.ts";
import { type Served, startServe } from "./serve.ts";
import { openStory } from "./story.ts";

let folder: string;
let provider: ModelServer;
let served: Served;
beforeEach(async () => {
  folder = temporary("serve");
  provider = await startModelServer({ tokens: 12 });
  served = await startServe(folder, { OPENAI_BASE_URL: provider.url });
});
afterEach(async () => {
  await served.end("SIGKILL");
  await provider.close();
  await endOrphans(folder, () => undefined);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

const natsPid = (): number => Number(readFileSync(join(folder, "nats", "nats.pid"), "utf8"));
const ready = async (): Promise<number> =>
  (await fetch(`${served.url}/ready`).catch(() => null))?.status ?? 0;

test("I7: the embedded server is killed in mid-answer: one socket reads the answer to its end", async () => {
  const wrong: string[] = [];
  const id = newId();
  const story = openStory((why) => wrong.push(why));
  const client = served.client();
  client.begin(id, story);
  await client.send(id, "Tell me a story [[tokens:12]] [[gate]]");
  provider.release(4);
  await story.until(({ frames }) => frames.some(({ type }) => type === "token"));
  const pid = natsPid();
  process.kill(pid, "SIGKILL");
  provider.release(1_000);
  await story.until(({ frames }) => frames.some(({ type }) => type === "end"));
  const [ended] = story.events("turn.completed");
  expect(story.text(String(ended?.event["turn"]))).toBe(ended?.event["text"]);
  expect(wrong).toEqual([]);

  await expect.poll(ready).toBe(200);
  expect(natsPid()).not.toBe(pid);
  await client.send(id, "And then?");
  await story.until(({ frames }) => frames.filter(({ type }) => type === "end").length === 2);
  client.close();
  const { items } = await served.get<Page<Message>>(`/api/v1/conversations/${id}/messages`);
  expect(items.map(({ role, status }) => [role, status])).toEqual([
    ["user", "done"],
    ["assistant", "done"],
    ["user", "done"],
    ["assistant", "done"],
  ]);
});

test("I7: the embedded server stands still for a while: it is not ready, and then it is again", async () => {
  const wrong: string[] = [];
  const id = newId();
  const story = openStory((why) => wrong.push(why));
  const client = served.client();
  client.begin(id, story);
  await client.send(id, "Tell me a story [[tokens:12]] [[gate]]");
  process.kill(natsPid(), "SIGSTOP");
  await expect.poll(ready).toBe(503);
  process.kill(natsPid(), "SIGCONT");
  provider.release(1_000);
  await story.until(({ frames }) => frames.some(({ type }) => type === "end"));
  client.close();
  const ended = [...story.events("turn.completed"), ...story.events("turn.failed")];
  expect(ended.map(({ event }) => event.type)).toEqual(["turn.completed"]);
  expect(wrong).toEqual([]);
  await expect.poll(ready).toBe(200);
});
