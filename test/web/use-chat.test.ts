/**
 * `useChat` in a real browser: the React example of docs/CLIENTS.md as it stands there, against a real
 * gateway. It sends, is reloaded in mid-answer, is open twice, fails, and ends an answer.
 */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Gateway } from "../../gateway/server.ts";
import { type Running, startRunning } from "../gateway/running.ts";
import { type Chromium, startChromium } from "../support/chromium.ts";
import { chromiumBinary } from "../support/services.ts";
import { app_path, reactApp } from "./react-app.ts";

describe.skipIf(chromiumBinary() === null)("useChat in a page", () => {
  let running: Running;
  let gateway: Gateway;
  let chromium: Chromium;
  const problems: string[] = [];
  beforeAll(async () => {
    const [page, started, browser] = await Promise.all([
      reactApp(),
      startRunning(),
      startChromium({ viewport: { width: 800, height: 600 } }),
    ]);
    running = started;
    chromium = browser;
    gateway = await running.another({ page });
    const token = await running.token();
    await chromium.context.addInitScript(`localStorage.token = ${JSON.stringify(token)}`);
  });
  afterAll(async () => {
    await chromium?.stop();
    await running?.stop();
  });

  async function open(chat: string): Promise<Page> {
    const page = await chromium.context.newPage();
    page.on("pageerror", (error) => problems.push(error.message));
    await page.goto(`${gateway.url}${app_path}#${chat}`);
    await page.waitForSelector("input");
    return page;
  }
  /** Waits until the page shows exactly these messages and this status. */
  const shows = (page: Page, texts: readonly string[], status: string): Promise<unknown> =>
    page.waitForFunction(
      ([wanted, state]) =>
        JSON.stringify([...document.querySelectorAll("[data-role]")].map((p) => p.textContent)) ===
          wanted && document.querySelector("output")?.textContent === state,
      [JSON.stringify(texts), status] as const,
    );
  const say = async (page: Page, text: string): Promise<void> => {
    await page.fill("input", text);
    await page.click("text=Send");
  };
  const asked = (text: string) =>
    running.world.provider.whenRequest(({ message }) => message === text);

  test("I6: an answer streams, a reload and another tab in its middle read it and its rest", async () => {
    const { provider } = running.world;
    provider.script({ tokens: ["One ", "two ", "three"], gate: true });
    const page = await open("a chat");
    await say(page, "Count to three");
    await asked("Count to three");
    provider.release(1);
    await shows(page, ["Count to three", "One "], "streaming");
    await page.reload();
    await shows(page, ["Count to three", "One "], "streaming");
    const other = await open("a chat");
    provider.release(1);
    for (const one of [page, other]) {
      await shows(one, ["Count to three", "One two "], "streaming");
    }
    provider.release(1);
    for (const one of [page, other]) {
      await shows(one, ["Count to three", "One two three"], "ready");
    }
    expect(await page.getAttribute("[data-role=assistant]", "data-finish")).toBe("stop");
    // The tab goes on from the answer that it shows.
    provider.script({ tokens: ["Four"] });
    await say(other, "And on");
    const whole = ["Count to three", "One two three", "And on", "Four"];
    await shows(other, whole, "ready");
    await page.reload();
    await shows(page, whole, "ready");
    const { requests } = provider;
    expect(requests.filter(({ message }) => message === "Count to three")).toHaveLength(1);
  });

  test("a failed answer says why, and another is asked for with one click", async () => {
    running.world.provider.script({ fault: 400 }, { tokens: ["better"] });
    const page = await open("fails");
    await say(page, "Go");
    await page.waitForSelector("[role=alert]");
    expect(await page.textContent("[role=alert]")).toMatch(/^model_refused: /);
    await page.click("text=Try again");
    await shows(page, ["Go", "better"], "ready");
    expect(await page.locator("[role=alert]").count()).toBe(0);
  });

  test("an answer is ended from one tab, and ends in the other", async () => {
    const { provider } = running.world;
    provider.script({ tokens: ["One ", "two"], gate: true });
    const page = await open("ends");
    await say(page, "For ever");
    await asked("For ever");
    provider.release(1);
    await shows(page, ["For ever", "One "], "streaming");
    const other = await open("ends");
    await shows(other, ["For ever", "One "], "streaming");
    await other.click("text=End the answer");
    for (const one of [page, other]) await shows(one, ["For ever", "One "], "ready");
    expect(await page.getAttribute("[data-role=assistant]", "data-finish")).toBe("cancelled");
  });

  test("nothing of all this was a fault of the page or the gateway", () => {
    expect([...problems, ...running.problems]).toEqual([]);
  });
});
