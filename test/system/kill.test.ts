/** The whole process is killed and started again: conversations go on where they were (I5, I6, I7). */
import { rmSync } from "node:fs";
import { afterEach, beforeEach, expect, test } from "vitest";
import { endOrphans } from "../../cli/folder/data-folder.ts";
import type { Conversation, Message, Page } from "../../schemas/http.ts";
import { newId } from "../../web/client.ts";
import { type ModelServer, startModelServer } from "../support/model-server.ts";
import { temporary } from "../support/services.ts";
import { colloquy, type Served, startServe } from "./serve.ts";
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
  // The embedded servers outlive a kill, until the next start ends them; here there is none.
  await endOrphans(folder, () => undefined);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

const again = async (): Promise<void> => {
  served = await startServe(folder, { OPENAI_BASE_URL: provider.url });
};
const messages = (id: string): Promise<Page<Message>> =>
  served.get(`/api/v1/conversations/${id}/messages`);

test("I7: kill -9 in mid-answer, start again: the turn is restarted and ends by itself", async () => {
  const wrong: string[] = [];
  const id = newId();
  const before = openStory((why) => wrong.push(why));
  const first = served.client();
  const reading = first.begin(id, before);
  await first.send(id, "Tell me a story [[tokens:12]] [[gate]]");
  provider.release(4);
  await before.until(({ frames }) => frames.some(({ type }) => type === "token"));
  await served.end("SIGKILL");
  const cursor = reading.cursor();
  first.close();

  await again();
  // One goes on from its old cursor, in the same story; another reads it from the beginning.
  const third = served.client();
  third.subscribe(id, before, cursor);
  const after = openStory((why) => wrong.push(why));
  const second = served.client();
  second.subscribe(id, after);
  await provider.whenRequest(2);
  provider.release(12);
  for (const story of [before, after]) {
    await story.until(({ frames }) => frames.some(({ type }) => type === "end"));
  }
  second.close();
  third.close();

  expect(after.events("turn.restarted")).toHaveLength(1);
  const [ended] = after.events("turn.completed");
  expect(ended?.event["attempt"]).toBe(2);
  for (const story of [before, after]) {
    expect(story.text(String(ended?.event["turn"]))).toBe(ended?.event["text"]);
    expect(story.events("turn.restarted")).toHaveLength(1);
  }
  const { items } = await messages(id);
  expect(items.map(({ role, status }) => [role, status])).toEqual([
    ["user", "done"],
    ["assistant", "done"],
  ]);
  expect(items[1]?.text).toBe(ended?.event["text"]);
  expect(wrong).toEqual([]);
});

test("a folder belongs to one process at a time; its conversation is there after a clean stop and start, and goes on", async () => {
  const id = newId();
  const story = openStory(() => undefined);
  const client = served.client();
  client.begin(id, story);
  await client.send(id, "Remember this");
  await story.until(({ frames }) => frames.some(({ type }) => type === "end"));
  client.close();
  const { items: said } = await messages(id);
  // Meanwhile the folder belongs to one process, and a second says who has it.
  const second = await colloquy(["serve"], { folder });
  expect(second.code).toBe(1);
  expect(second.err).toContain(`in use by process ${served.pid} (${served.url})`);
  expect(second.err.trim().split("\n")).toHaveLength(1);
  expect(await served.end("SIGTERM")).toBe(0);

  await again();
  const { items } = await served.get<Page<Conversation>>("/api/v1/conversations");
  expect(items.map(({ id: one }) => one)).toEqual([id]);
  expect((await messages(id)).items).toEqual(said);
  const { out, code } = await colloquy(["chat", "--conversation", id, "And now?"], { folder });
  expect(code).toBe(0);
  const { text } = await provider.whenRequest(2);
  expect(out.trim()).toBe(text.trim());
});
