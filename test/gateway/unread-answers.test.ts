/** Clients that ask over HTTP and do not read what they are answered (I11). */
import { createHash, randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { beforeAll, expect, test } from "vitest";
import type { Gateway } from "../../gateway/server.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
let at: Gateway;
/** More than the machine keeps between the two ends of a connection. */
const large = randomBytes(32 * 1024 * 1024);
beforeAll(async () => {
  running = await startRunning();
  const type = "application/octet-stream";
  at = await running.another({ page: new Map([["/large", { type, bytes: large, etag: '"1"' }]]) });
  return () => running.stop();
});

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
/** A connection that reads nothing; what it was sent by the time that it is closed. */
function deaf(): { readonly socket: Socket; heard(): Promise<number> } {
  const socket = connect(at.port, "127.0.0.1");
  // A reset is what is asked for.
  socket.on("error", () => undefined);
  socket.pause();
  return {
    socket,
    heard: () =>
      new Promise((resolve) => {
        let bytes = 0;
        socket.on("data", (chunk) => (bytes += chunk.byteLength));
        socket.on("close", () => resolve(bytes));
        socket.resume();
      }),
  };
}

test("I11: requests that are written behind one another are not answered into memory", async () => {
  const one = (await (await fetch(`${at.url}/openapi.json`)).arrayBuffer()).byteLength;
  for (const path of ["/openapi.json", "/large", "/nothing/here", "/health"]) {
    const { socket, heard } = deaf();
    socket.write(get(path).repeat(3_000));
    expect(await heard(), path).toBeLessThan(one + 10_000 + (path === "/large" ? 2 ** 24 : 0));
  }
  expect((await fetch(`${at.url}/health`)).status).toBe(200);
});

test("I11: whoever asks again before a large answer was taken is hung up on", async () => {
  const { socket, heard } = deaf();
  socket.write(get("/large"));
  await new Promise((resolve) => socket.once("readable", resolve));
  socket.write(get("/large"));
  expect(await heard()).toBeLessThan(large.byteLength);
});

test("whoever reads a large answer slowly has all of it", async () => {
  const hash = createHash("sha256");
  const response = await fetch(`${at.url}/large`);
  for await (const chunk of response.body ?? []) {
    hash.update(chunk);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(hash.digest("hex")).toBe(createHash("sha256").update(large).digest("hex"));
  const again = await fetch(`${at.url}/large`);
  expect((await again.arrayBuffer()).byteLength).toBe(large.byteLength);
  expect(running.problems).toEqual([]);
});
