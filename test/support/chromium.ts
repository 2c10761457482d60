/**
 * Starts a real Chromium for one test file, with a profile of its own that is removed at the end.
 * Traffic stays on loopback: everything a browser does by itself in the background is switched off.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BrowserContext, chromium, type BrowserContextOptions } from "playwright-core";

const executables = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** The browser of this machine; null where there is none (CI installs one and insists on it). */
export const chromiumPath: string | null = executables.find((path) => existsSync(path)) ?? null;

export interface Chromium {
  readonly context: BrowserContext;
  stop(): Promise<void>;
}

export async function startChromium(
  options: Pick<BrowserContextOptions, "viewport" | "colorScheme" | "hasTouch" | "isMobile"> = {},
): Promise<Chromium> {
  if (chromiumPath === null) throw new Error("Chromium is not installed.");
  const profile = await mkdtemp(join(tmpdir(), "colloquy-chromium-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: chromiumPath,
    headless: true,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
    ...options,
  });
  context.setDefaultTimeout(20_000);
  return {
    context,
    async stop() {
      await context.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
