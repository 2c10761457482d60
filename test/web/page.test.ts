/**
 * The page in a real Chromium: an answer streams, survives a reload and a cut in its middle, and no
 * Markdown becomes script. The gateway follows a script, so that every moment can be stopped at.
 */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Chromium, chromiumPath, startChromium } from "../support/chromium.ts";
import { type ScriptedGateway, startScriptedGateway } from "./scripted-gateway.ts";

const field = "#text";
const answer = "[data-role=assistant] .prose";

describe.skipIf(chromiumPath === null)("the page", () => {
  let gateway: ScriptedGateway;
  let chromium: Chromium;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    gateway = await startScriptedGateway();
    chromium = await startChromium({ viewport: { width: 1000, height: 700 } });
  });
  afterAll(async () => {
    await chromium?.stop();
    await gateway?.stop();
  });
  beforeEach(async () => {
    for (const old of chromium.context.pages().slice(1)) await old.close();
    page = await chromium.context.newPage();
    problems.length = 0;
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("dialog", () => problems.push("a dialog opened"));
    await page.goto(gateway.url);
    return () => {
      if (problems.length > 0) throw new Error(problems.join("\n"));
    };
  });

  /** Types and sends; gives the conversation's id once the server has it. */
  async function say(text: string): Promise<string> {
    await page.fill(field, text);
    await page.press(field, "Enter");
    await page.waitForFunction(() => location.hash.startsWith("#/c/"));
    const id = new URL(page.url()).hash.slice("#/c/".length);
    await page.waitForSelector("[data-role=user][data-status=done]");
    return id;
  }
  const reads = (text: string): Promise<unknown> =>
    page.waitForFunction(
      ([selector, wanted]) => document.querySelector(selector ?? "")?.textContent === wanted,
      [answer, text],
    );

  test("I6: a reload in mid-answer shows the same answer and completes it", async () => {
    const id = await say("hello");
    gateway.begin(id);
    await page.waitForSelector(".thinking");
    gateway.token(id, "One ");
    gateway.token(id, "two ");
    await reads("One two ");
    await page.reload();
    await reads("One two ");
    gateway.token(id, "three");
    await reads("One two three");
    gateway.cut();
    gateway.token(id, " four");
    gateway.finish(id);
    await page.waitForSelector("[data-role=assistant][data-status=done]");
    await reads("One two three four");
    expect(await page.locator(".turn").count()).toBe(2);
  });

  test("I5: a restarted answer replaces what the first attempt wrote", async () => {
    const id = await say("again");
    gateway.begin(id);
    gateway.token(id, "Half an ans");
    await reads("Half an ans");
    gateway.restart(id);
    gateway.token(id, "Whole");
    await reads("Whole");
    gateway.finish(id);
    await page.waitForSelector("[data-role=assistant][data-status=done]");
    expect(await page.textContent(answer)).toBe("Whole");
  });

  test("Escape stops, and an edit makes a branch beside the first", async () => {
    const id = await say("first version");
    gateway.begin(id);
    gateway.token(id, "So far");
    await reads("So far");
    await page.press(field, "Escape");
    await page.waitForSelector("[data-role=assistant][data-status=cancelled]");
    await page.click("[aria-label=Edit]");
    await page.fill(".editor textarea", "second version");
    await page.press(".editor textarea", "Enter");
    await page.waitForFunction(
      () => document.querySelector(".words")?.textContent === "second version",
    );
    expect(await page.textContent("[data-role=user] .acts span")).toBe("2 of 2");
    expect(gateway.heard.map(({ type }) => type)).toContain("edit");
  });

  test("a failure is said in words and can be tried again", async () => {
    const id = await say("fail");
    gateway.begin(id);
    gateway.finish(id, "turn.failed", "model_timeout");
    await page.waitForSelector("text=The model took too long to answer.");
    await page.click(".failure button");
    await page.waitForSelector(".thinking");
    gateway.finish(id);
    expect(gateway.heard.at(-1)?.type).toBe("regenerate");
  });

  test("Enter that ends a composition does not send; a draft survives a reload", async () => {
    await page.fill(field, "你好");
    await page.dispatchEvent(field, "keydown", { key: "Enter", isComposing: true });
    expect(await page.inputValue(field)).toBe("你好");
    await page.reload();
    expect(await page.inputValue(field)).toBe("你好");
    await page.fill(field, "");
  });

  test("the way past the list leads to the field of the same conversation", async () => {
    const id = await say("hello");
    await page.focus(".skip");
    await page.keyboard.press("Enter");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("text");
    expect(new URL(page.url()).hash).toBe(`#/c/${id}`);
  });

  test("the list follows other devices", async () => {
    const id = "00000000-0000-4000-8000-00000000000a";
    gateway.event(id, { type: "conversation.started", origin: "chat" });
    gateway.event(id, { type: "conversation.titled", title: "From elsewhere", source: "user" });
    await page.waitForSelector("text=From elsewhere");
    gateway.event(id, { type: "conversation.deleted" });
    await page.waitForSelector("text=From elsewhere", { state: "detached" });
    expect(await page.locator(`[data-id="${id}"]`).count()).toBe(0);
  });

  test("nothing overflows at 375 pixels, and the list is a drawer", async () => {
    const id = await say("wide");
    gateway.begin(id);
    gateway.token(
      id,
      `${"|a".repeat(30)}|\n${"|-".repeat(30)}|\n\n\`\`\`\n${"x".repeat(400)}\n\`\`\`\n\n${"y".repeat(300)}`,
    );
    gateway.finish(id);
    await page.waitForSelector("[data-role=assistant][data-status=done]");
    await page.setViewportSize({ width: 375, height: 700 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(375);
    expect(await page.evaluate(() => document.querySelector("#scroll")?.scrollWidth)).toBe(375);
    await page.click(".bar-menu button");
    await page.waitForSelector(".drawer[data-open]");
    await page.keyboard.press("Escape");
    await page.waitForSelector(".drawer:not([data-open])", { state: "attached" });
  });

  test("a text of any kind becomes text: no script, no handler, no picture, no strange link", async () => {
    const corpus = [
      "<script>alert(1)</script>",
      "<img src=x onerror=alert(1)>",
      "<svg/onload=alert(1)>",
      "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
      "[a](javascript:alert(1))",
      "[a](JaVaScRiPt:alert(1))",
      "[a](java&#115;cript:alert(1))",
      "[a](java\tscript:alert(1))",
      "[a](<javascript:alert(1)>)",
      "[a](data:text/html,<script>alert(1)</script>)",
      "[a](vbscript:msgbox(1))",
      "[a](//evil.example/)",
      '[a](https://ok.example/ "onmouseover=alert(1)")',
      "![x](https://tracker.example/pixel.png)",
      "![x](javascript:alert(1))",
      "<javascript:alert(1)>",
      "[r]\n\n[r]: javascript:alert(1)",
      '```html"onload=alert(1)\n<b onclick=alert(1)>\n```',
      "| <img src=x onerror=alert(1)> |\n|---|\n| [x](javascript:alert(1)) |",
      "- [ ] <input autofocus onfocus=alert(1)>",
      "> <details open ontoggle=alert(1)>",
      "&lt;script&gt;alert(1)&lt;/script&gt;",
      '<a href="javascript:alert(1)">x</a>',
      "# <style>*{display:none}</style>",
      "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    ];
    const id = await say("markdown");
    gateway.begin(id);
    gateway.token(id, corpus.join("\n\n"));
    gateway.finish(id);
    await page.waitForSelector("[data-role=assistant][data-status=done]");
    const found = await page.evaluate((selector) => {
      const all = [...document.querySelectorAll(`${selector} *`)];
      return {
        tags: [...new Set(all.map(({ localName }) => localName))],
        handlers: all.flatMap((node) =>
          node.getAttributeNames().filter((name) => name.startsWith("on")),
        ),
        links: all.flatMap((node) =>
          node instanceof HTMLAnchorElement ? [node.protocol, node.rel] : [],
        ),
      };
    }, answer);
    for (const tag of ["script", "img", "iframe", "style", "object", "form", "details", "math"]) {
      expect(found.tags).not.toContain(tag);
    }
    expect(found.handlers).toEqual([]);
    expect(new Set(found.links)).toEqual(new Set(["https:", "noopener noreferrer nofollow"]));
    expect(await page.textContent(answer)).toContain("<script>alert(1)</script>");
  });
});
