/** A process that is told to end ends, whatever it waits for. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connectStreams } from "../../streams/connection.ts";
import { presentWorkers } from "../../streams/queue/workers.ts";
import { layPglite } from "../support/clusters.ts";
import { temporary } from "../support/services.ts";
import { environment, startServe } from "./serve.ts";

test("a worker that waits for read models which nobody makes ends in order", async () => {
  const folder = temporary("ending");
  const words = ["cli/main.ts", "serve", "--roles", "actors"];
  await layPglite(join(folder, "postgres"));
  const root = join(import.meta.dirname, "../..");
  const child = spawn(process.execPath, words, {
    ...{ cwd: root, env: environment(folder, {}), stdio: "ignore" },
  });
  const ended = once(child, "close");
  const port = join(folder, "nats", "port");
  await expect.poll(() => existsSync(port)).toBe(true);
  const url = `nats://127.0.0.1:${readFileSync(port, "utf8").trim()}`;
  const streams = await connectStreams({ url, name: "test" });
  const members = (): Promise<number> => presentWorkers(streams).then(({ length }) => length);
  await expect.poll(() => members().catch(() => 0)).toBe(1);
  await streams.close();
  child.kill("SIGTERM");
  // 1 would say that it had to end itself hard, past its time.
  expect(await ended).toEqual([0, null]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

test("a gateway that refused a request before its body came ends in order", async () => {
  const folder = temporary("refused");
  const served = await startServe(folder);
  const { hostname, port } = new URL(served.url);
  const socket = connect(Number(port), hostname);
  const closed = once(socket, "close");
  const head = `POST /api/v1/conversations HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n`;
  socket.write(head);
  const [answer] = (await once(socket, "data")) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1.1 401 /);
  socket.destroy();
  await closed;
  expect(await served.end("SIGTERM")).toBe(0);
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});
