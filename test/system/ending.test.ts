/** A process that is told to end ends, whatever it waits for. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connectStreams } from "../../streams/connection.ts";
import { presentWorkers } from "../../streams/queue/workers.ts";
import { temporary } from "../support/services.ts";
import { environment } from "./serve.ts";

test("a worker that waits for read models which nobody makes ends in order", async () => {
  const folder = temporary("ending");
  const words = ["cli/main.ts", "serve", "--roles", "actors"];
  const root = join(import.meta.dirname, "../..");
  const child = spawn(process.execPath, words, {
    ...{ cwd: root, env: environment(folder, {}), stdio: "ignore" },
  });
  const ended = once(child, "close");
  const port = join(folder, "nats", "port");
  await expect.poll(() => existsSync(port), { timeout: 30_000 }).toBe(true);
  const url = `nats://127.0.0.1:${readFileSync(port, "utf8").trim()}`;
  const streams = await connectStreams({ url, name: "test" });
  const members = (): Promise<number> => presentWorkers(streams).then(({ length }) => length);
  await expect.poll(() => members().catch(() => 0), { timeout: 30_000 }).toBe(1);
  await streams.close();
  child.kill("SIGTERM");
  // 1 would say that it had to end itself hard, past its time.
  expect(await ended).toEqual([0, null]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
}, 60_000);
