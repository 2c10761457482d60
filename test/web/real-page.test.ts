/**
 * The page on the real thing: `serve` as a process of its own, a scripted provider, and Chromium. The
 * visitor is signed in, types, sees tokens, reloads in mid-answer and sees the same answer complete.
 */
import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Message, Page } from "../../schemas/http.ts";
import { type Chromium, startChromium } from "../support/chromium.ts";
import { type ModelServer, startModelServer } from "../support/model-server.ts";
import { chromiumBinary, temporary } from "../support/services.ts";
import { type Served, startServe } from "../system/serve.ts";

const answer = "[data-role=assistant] .prose";

describe.skipIf(chromiumBinary() === null)("the page on a real server", () => {
  let folder: string;
  let provider: ModelServer;
  let served: Served;
  let chromium: Chromium;
  beforeAll(async () => {
    folder = temporary("page");
    provider = await startModelServer();
    [served, chromium] = await Promise.all([
      startServe(folder, { OPENAI_BASE_URL: provider.url }),
      startChromium({ viewport: { width: 1000, height: 700 } }),
    ]);
  });
  afterAll(async () => {
    await chromium?.stop();
    await served?.end("SIGTERM");
    await provider?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
  });

  test("I6: an answer streams, and a reload in its middle shows it and its rest", async () => {
    const page = await chromium.context.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error.message));
    const reads = (wanted: string): Promise<unknown> =>
      page.waitForFunction(
        ([selector, words]) =>
          document.querySelector(selector ?? "")?.textContent?.trimEnd() === words,
        [answer, wanted],
      );
    const text = (tokens: readonly string[]): string => tokens.join("").trimEnd();
    const tokens = ["One ", "two ", "three ", "four ", "five"];
    provider.script({ tokens, gate: true });

    await page.goto(served.url);
    await page.fill("#text", "Count to five");
    await page.press("#text", "Enter");
    await page.waitForFunction(() => location.hash.startsWith("#/c/"));
    await page.waitForSelector("[data-role=user][data-status=done]");
    provider.release(2);
    await reads(text(tokens.slice(0, 2)));
    await page.reload();
    await reads(text(tokens.slice(0, 2)));
    provider.release(3);
    await page.waitForSelector("[data-role=assistant][data-status=done]");
    await reads(text(tokens));
    expect(await page.locator(".turn").count()).toBe(2);

    const id = new URL(page.url()).hash.slice("#/c/".length);
    const stored = await served.get<Page<Message>>(`/api/v1/conversations/${id}/messages`);
    expect(stored.items.map(({ text: words }) => words)).toEqual(["Count to five", text(tokens)]);
    expect(provider.requests).toHaveLength(1);
    expect(problems).toEqual([]);
  });
});
