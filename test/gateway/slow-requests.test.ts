/** Requests that are never finished: closed after seconds, while everybody else is served. */
import { once } from "node:events";
import { connect } from "node:net";
import { beforeAll, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

/** Writes a beginning, then a little every now and then; resolves when it is closed. */
function drip(url: string, first: string, then: string): Promise<void> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let timer: NodeJS.Timeout | undefined;
    // The other end may be gone before ours has noticed.
    socket.on("error", () => undefined);
    socket.on("connect", () => {
      socket.write(first);
      if (then !== "") timer = setInterval(() => socket.write(then), 250);
    });
    socket.resume();
    socket.on("close", () => {
      clearInterval(timer);
      resolve();
    });
  });
}

test("I11: slow headers, slow bodies, silence and idle connections end by themselves", async () => {
  const { url } = running.gateway;
  const token = await running.token();
  const head = `Host: a\r\nAuthorization: Bearer ${token}\r\n`;
  const post = `POST /api/v1/conversations HTTP/1.1\r\n${head}Content-Type: application/json\r\n`;
  const slow = [
    ["", ""],
    ["GET / HTTP/1.1\r\nHost: a\r\n", "X-A: b\r\n"],
    [`${post}Content-Length: 200000\r\n\r\n{`, " "],
    [`GET /ws/chat HTTP/1.1\r\n${head}Upgrade: websocket\r\n`, "X-A: b\r\n"],
    [`GET /health HTTP/1.1\r\n${head}\r\n`, ""],
  ] as const;
  const all = slow.flatMap(([first, then]) =>
    Array.from({ length: 40 }, () => drip(url, first, then)),
  );
  const ended = Promise.all(all).then(() => "ended");
  const client = await running.connect();
  for (let round = 0; round < 20; round++) {
    expect((await running.http("GET", "/api/v1/conversations")).status).toBe(200);
    client.send({ type: "ping" });
    await client.next("pong");
  }
  expect(await ended).toBe("ended");
  client.send({ type: "ping" });
  await client.next("pong");
  expect(running.problems).toEqual([]);
});

test("I10: I11: large bodies that never end fill their address's room, and nobody else's", async () => {
  const at = await running.another({ trustedProxies: ["127.0.0.1"] });
  const token = await running.token("mallory");
  const large = limits.chat_body_bytes_max;
  const head = [
    ...["POST /api/v1/ai/chat HTTP/1.1", "Host: a", `Authorization: Bearer ${token}`],
    ...["X-Forwarded-For: 203.0.113.1", "Content-Type: application/json"],
    ...[`Content-Length: ${large}`, "", ""],
  ].join("\r\n");
  const rest = Buffer.alloc(large - 1, " ");
  const senders = Array.from({ length: 17 }, () => {
    const socket = connect(at.port, "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(head);
    socket.write(rest);
    return socket;
  });
  // One too many of them is told so.
  const told: unknown[] = await Promise.race(senders.map((socket) => once(socket, "data")));
  expect(String(told[0])).toContain("HTTP/1.1 503");
  const post = async (from: string): Promise<number> => {
    const response = await fetch(`${at.url}/api/v1/conversations`, {
      method: "POST",
      headers: {
        ...{ authorization: `Bearer ${await running.token()}`, "x-forwarded-for": from },
        "content-type": "application/json",
      },
      body: JSON.stringify({ title: "x".repeat(200), model: "scripted" }),
    });
    await response.arrayBuffer();
    return response.status;
  };
  expect(await post("203.0.113.2")).toBe(201);
  for (const socket of senders) socket.destroy();
  await expect.poll(() => post("203.0.113.1")).toBe(201);
});
