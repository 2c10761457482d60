/**
 * Signing in by the page where nobody is signed in by himself: in Chromium, against a real gateway.
 * Light and dark, on a desk and on a phone.
 */
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { webAssets } from "../../cli/web-assets.ts";
import type { Gateway } from "../../gateway/server.ts";
import { limits } from "../../schemas/limits.ts";
import { type Running, startRunning } from "../gateway/running.ts";
import { type Chromium, startChromium } from "../support/chromium.ts";
import { chromiumBinary } from "../support/services.ts";

const email = "ann@example.org";
const password = "a long enough password";
const dialog = "dialog.sign-in";
const online = "#connection[data-state=online]";

describe.skipIf(chromiumBinary() === null)("signing in by the page", () => {
  let running: Running;
  let gateway: Gateway;
  let chromium: Chromium;
  const problems: string[] = [];
  beforeAll(async () => {
    [running, chromium] = await Promise.all([
      startRunning(),
      startChromium({ viewport: { width: 1000, height: 700 } }),
    ]);
    gateway = await running.another({ page: webAssets() });
  });
  afterAll(async () => {
    await chromium?.stop();
    await running?.stop();
  });

  async function open(at = "/"): Promise<Page> {
    const page = await chromium.context.newPage();
    page.on("pageerror", (error) => problems.push(error.message));
    await page.goto(`${gateway.url}${at}`);
    return page;
  }
  const connected = (page: Page): Promise<unknown> =>
    page.waitForSelector(online, { state: "attached" });
  const stored = (page: Page): Promise<string | null> =>
    page.evaluate(() => localStorage.getItem("colloquy.session"));
  async function say(page: Page, text: string): Promise<void> {
    await page.fill("#text", text);
    await page.press("#text", "Enter");
    await page.waitForSelector("[data-role=assistant][data-status=done]");
  }

  test("the form fits a desk and a phone, light and dark, and every field has a name", async () => {
    const page = await open();
    for (const width of [1000, 360]) {
      for (const colorScheme of ["light", "dark"] as const) {
        await page.setViewportSize({ width, height: 640 });
        await page.emulateMedia({ colorScheme });
        for (const mode of ["Create an account", "Use an access token", "Sign in"]) {
          await page.click(`${dialog} .others >> text=${mode}`);
          const fits = await page.$eval(dialog, (element) => {
            const { left, right, top, bottom } = element.getBoundingClientRect();
            const inside = left >= 0 && right <= innerWidth && top >= 0 && bottom <= innerHeight;
            const { color, backgroundColor } = getComputedStyle(element);
            const named = [...element.querySelectorAll("input")].every(
              ({ labels }) => (labels?.length ?? 0) > 0,
            );
            const wide = document.documentElement.scrollWidth > innerWidth;
            return inside && named && !wide && color !== backgroundColor;
          });
          expect([width, colorScheme, mode, fits]).toEqual([width, colorScheme, mode, true]);
        }
      }
    }
    await page.close();
  });

  test("who registers is signed in, stays so over a reload, and may sign out everywhere", async () => {
    const page = await open();
    await page.click("text=Create an account");
    const shortest = await page.getAttribute(`${dialog} [name=password]`, "minlength");
    expect(Number(shortest)).toBe(limits.password_chars_min);
    await page.fill("[name=name]", "Ann");
    await page.fill("[name=email]", email);
    await page.fill("[name=password]", password);
    await page.press("[name=password]", "Enter");
    await page.waitForSelector(dialog, { state: "detached" });
    await say(page, "hello [[tokens:2]]");
    await page.reload();
    await connected(page);
    await page.waitForSelector("[data-role=assistant][data-status=done]");

    // Two tabs whose access token has grown old go on with one session, in turns.
    const other = await open();
    await connected(other);
    const before = await stored(page);
    let refreshed = 0;
    chromium.context.on("request", (request) => {
      if (request.url().endsWith("/auth/refresh")) refreshed += 1;
    });
    await page.evaluate(() => {
      const session = JSON.parse(localStorage.getItem("colloquy.session") ?? "{}") as object;
      const old = `e30.${btoa(JSON.stringify({ exp: 1 }))}.e30`;
      localStorage.setItem("colloquy.session", JSON.stringify({ ...session, accessToken: old }));
    });
    await Promise.all([page.reload(), other.reload()]);
    await Promise.all([connected(page), connected(other)]);
    const after = await stored(page);
    expect(after).not.toBe(before);
    // Once as a rule. What one tab keeps may reach the other's process late: then that one presents
    // the same token, and is given the same one for it.
    expect([1, 2]).toContain(refreshed);
    expect(await stored(other)).toBe(after);
    expect(await page.locator(dialog).count()).toBe(0);

    await other.click("text=Sign out");
    await Promise.all([page.waitForSelector(dialog), other.waitForSelector(dialog)]);
    expect(await stored(page)).toBeNull();
    const { refreshToken } = JSON.parse(after ?? "{}") as { refreshToken: string }; // as stored
    const refused = await fetch(`${gateway.url}/api/v1/auth/refresh`, {
      ...{ method: "POST", headers: { "content-type": "application/json" } },
      body: JSON.stringify({ refreshToken }),
    });
    expect(refused.status).toBe(401);

    await page.fill("[name=email]", email);
    await page.fill("[name=password]", "not this one");
    await page.click(`${dialog} .primary`);
    await page.waitForSelector(`${dialog} [role=alert]:not([hidden])`);
    expect(await page.textContent(`${dialog} [role=alert]`)).toContain("do not belong together");
    await page.fill("[name=password]", password);
    await page.click(`${dialog} .primary`);
    await connected(page);
    await page.waitForSelector("text=hello");
    await page.close();
    await other.close();
  });

  test("who opens an invitation's link registers into its workspace with its role, once", async () => {
    const page = await open();
    const asked = async (method: string, path: string, body?: object): Promise<Response> => {
      const { accessToken } = JSON.parse((await stored(page)) ?? "{}") as { accessToken: string };
      return fetch(`${gateway.url}${path}`, {
        ...{ method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) },
        headers: { authorization: `Bearer ${accessToken}`, "content-type": "application/json" },
      });
    };
    await connected(page);
    const made = await asked("POST", "/api/v1/workspace/invitations", { role: "admin" });
    expect(made.status).toBe(201);
    const { token } = (await made.json()) as { token: string }; // as PROTOCOL.md
    await page.click("text=Sign out");
    await page.waitForSelector(dialog);

    const invited = await open(`/#/join/${token}`);
    await invited.waitForSelector(`${dialog} >> text=Create the account`);
    await invited.fill("[name=name]", "Ben");
    await invited.fill("[name=email]", "ben@example.org");
    await invited.fill("[name=password]", password);
    await invited.press("[name=password]", "Enter");
    await invited.waitForSelector(dialog, { state: "detached" });
    await say(invited, "I am in [[tokens:2]]");
    expect(invited.url()).not.toContain(token);
    const members = await asked("GET", "/api/v1/workspace/members");
    const { items } = (await members.json()) as { items: object[] }; // as PROTOCOL.md
    expect(items).toMatchObject([
      { name: "Ann", role: "owner" },
      { name: "Ben", role: "admin" },
    ]);
    await invited.click("text=Sign out");
    await invited.waitForSelector(dialog);

    const late = await open(`/#/join/${token}`);
    await late.fill("[name=name]", "Cy");
    await late.fill("[name=email]", "cy@example.org");
    await late.fill("[name=password]", password);
    await late.press("[name=password]", "Enter");
    const alarm = `${dialog} [role=alert]:not([hidden])`;
    await late.waitForSelector(alarm);
    expect(await late.textContent(alarm)).toContain("no longer good");
    for (const one of [page, invited, late]) await one.close();
  });

  test("who is signed in and opens an invitation's link is asked, and joins or stays", async () => {
    const page = await open();
    const asked = async (method: string, path: string, body?: object): Promise<Response> => {
      const { accessToken } = JSON.parse((await stored(page)) ?? "{}") as { accessToken: string };
      return fetch(`${gateway.url}${path}`, {
        ...{ method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) },
        headers: { authorization: `Bearer ${accessToken}`, "content-type": "application/json" },
      });
    };
    const signIn = async (mode: string, who: string, name?: string): Promise<void> => {
      await page.waitForSelector(dialog);
      await page.click(`${dialog} >> text=${mode}`);
      if (name !== undefined) await page.fill("[name=name]", name);
      await page.fill("[name=email]", who);
      await page.fill("[name=password]", password);
      await page.press("[name=password]", "Enter");
      await page.waitForSelector(dialog, { state: "detached" });
      await connected(page);
    };
    const profile = async (): Promise<unknown> =>
      (await asked("GET", "/api/v1/users/profile")).json();
    const question = "dialog[open] >> text=Join the workspace main?";

    await page.fill("[name=email]", email);
    await page.fill("[name=password]", password);
    await page.press("[name=password]", "Enter");
    await connected(page);
    const made = await asked("POST", "/api/v1/workspace/invitations", { role: "member" });
    const { token } = (await made.json()) as { token: string }; // as PROTOCOL.md
    await page.click("text=Sign out");
    await signIn("Create an account", "dee@example.org", "Dee");
    const own = await profile();
    expect(own).toMatchObject({ name: "Dee", role: "owner" });
    await say(page, "At home [[tokens:2]]");

    // Put into the address of the open page, as a link from a mail is that opens in the same tab.
    await page.goto(`${gateway.url}/#/join/${token}`);
    await page.waitForSelector(question);
    await page.keyboard.press("Escape");
    await page.waitForSelector(question, { state: "detached" });
    expect(page.url()).not.toContain(token);
    expect(await profile()).toEqual(own);

    await page.goto(`${gateway.url}/#/join/${token}`);
    await page.waitForSelector(question);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector(question, { state: "detached" });
    await expect.poll(profile).toMatchObject({ name: "Dee", role: "member", tenant: "main" });
    await connected(page);
    expect(page.url()).not.toContain(token);
    await say(page, "Among others [[tokens:2]]");
    const sessions = (await (await asked("GET", "/api/v1/users/sessions")).json()) as {
      items: object[]; // as PROTOCOL.md
    };
    expect(sessions.items).toMatchObject([{ tenant: "main", current: true }]);

    // It was good once; who stays where he is is told why.
    await page.goto(`${gateway.url}/#/join/${token.replace(/.$/, "")}`);
    await page.waitForSelector(question);
    await page.click("dialog[open] >> text=Join >> nth=-1");
    await page.waitForSelector(".notice:not([hidden]) >> text=no longer good");
    await page.close();
  });

  test("nothing of all this was a fault of the page or the gateway", () => {
    expect([...problems, ...running.problems]).toEqual([]);
  });
});
