/** The access log: what is written of requests, streams and sockets, and what never is. */
import { once } from "node:events";
import { connect } from "node:net";
import { beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import type { AccessLog } from "../../gateway/ports.ts";
import type { Gateway } from "../../gateway/server.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { createGate } from "../support/model-server-gate.ts";
import { pulse } from "../support/pulse.ts";
import { openForeign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";
import { openSse } from "./sse-client.ts";

type Line = Readonly<Record<string, unknown>>;

const written: string[] = [];
const news = pulse();
const accessLog: AccessLog = {
  write(line) {
    written.push(line);
    news.beat();
  },
  dropped: () => 3,
};
// What the gateway writes is what the tests look at.
const lines = (): Line[] => written.map((line) => JSON.parse(line) as Line);
/** The lines about one user, once there are so many. */
async function about(user: string, count: number): Promise<Line[]> {
  const of = (): Line[] => lines().filter((line) => line["user"] === user);
  await news.until(() => of().length >= count);
  expect(of()).toHaveLength(count);
  return of();
}

let running: Running;
let gateway: Gateway;
beforeAll(async () => {
  running = await startRunning();
  gateway = await running.another({ accessLog, trustedProxies: ["127.0.0.1"] });
  return () => running.stop();
});

async function asking(user: string, more: Record<string, string> = {}) {
  const authorization = `Bearer ${await running.token(user)}`;
  return { authorization, "content-type": "application/json", ...more };
}

test("a request is one line with its template, and holds neither ids nor queries nor words", async () => {
  const user = "logged";
  const secret = "do-not-write-this-down";
  const id = systemIds();
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  const made = await fetch(`${gateway.url}/api/v1/conversations?token=${secret}`, {
    ...{ method: "POST", body: JSON.stringify({ id, title: secret }) },
    headers: await asking(user, {
      "user-agent": "curl/8.5.0",
      traceparent: `00-${trace}-00f067aa0ba902b7-01`,
      "x-forwarded-for": "203.0.113.7",
    }),
  });
  const body = await made.text();
  await fetch(`${gateway.url}/api/v1/conversations/${id}`, { headers: await asking(user) });
  const [first, second] = await about(user, 2);
  expect(first).toEqual({
    ...{ time: expect.stringMatching(/^\d{4}-.*Z$/), event: "request", method: "POST" },
    ...{ route: "/api/v1/conversations", status: 201, latency_ms: expect.any(Number) },
    ...{ first_byte_ms: null, bytes: Buffer.byteLength(body), aborted: false },
    ...{ tenant: "acme", user, request_id: made.headers.get("x-request-id") },
    ...{ ip: "203.0.113.7", user_agent: "curl/8.5.0" },
  });
  expect(first?.["request_id"]).toBe(trace);
  expect(second).toMatchObject({ route: "/api/v1/conversations/{id}", status: 200 });
  for (const word of [secret, id]) expect(written.join("\n")).not.toContain(word);
});

test("I10: strangers and what is not there are written without their words", async () => {
  const before = written.length;
  await fetch(`${gateway.url}/nowhere/very-private?token=very-private`);
  await fetch(`${gateway.url}/api/v1/conversations/very-private`, { method: "PUT" });
  await fetch(`${gateway.url}/api/v1/usage`, { headers: { authorization: "Bearer very-private" } });
  await news.until(() => written.length === before + 3);
  const found = lines().slice(before);
  const shown = found.map(({ route, status, user }) => [route, status, user]);
  expect(shown).toEqual([
    [null, 404, null],
    [null, 405, null],
    ["/api/v1/usage", 401, null],
  ]);
  expect(written.slice(before).join("\n")).not.toContain("very-private");
});

test("no words of a stranger make a second line, or a long one", async () => {
  const before = written.length;
  const raw = async (head: string): Promise<void> => {
    const socket = connect(gateway.port, "127.0.0.1");
    socket.on("error", () => undefined); // a reset is an answer, too
    socket.write(Buffer.from(head, "latin1"));
    await once(socket, "data");
    socket.destroy();
  };
  // Other control characters the server itself refuses, before there is a request.
  const agent = 'x"}\t\u0085\u00e9{"event":"request"}';
  await raw(`GET /health HTTP/1.1\r\nHost: a\r\nUser-Agent: ${agent}\r\n\r\n`);
  await raw(`GET /health HTTP/1.1\r\nHost: a\r\nUser-Agent: ${"a".repeat(3_000)}\r\n\r\n`);
  await raw('B"}{AD /health HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: "},{", \r\n\r\n');
  await news.until(() => written.length >= before + 3);
  for (const line of written.slice(before)) {
    expect(line).toMatch(/^[\x20-\x7e]+$/);
    expect(line.length).toBeLessThan(700);
  }
  const [odd, long, method] = lines().slice(before);
  expect(odd).toMatchObject({ method: "GET", status: 200, event: "request" });
  expect(String(odd?.["user_agent"])).toContain('{"event":"request"}');
  expect(long?.["user_agent"]).toHaveLength(limits.user_agent_chars_max);
  expect(method).toMatchObject({ method: "?", route: null, ip: "127.0.0.1" });
});

test("a stream is written at its end, with its first words, whole or not", async () => {
  const user = "streamer";
  const headers = await asking(user);
  const path = `${gateway.url}/api/v1/conversations/${systemIds()}/messages`;
  const post = (text: string): RequestInit & { headers: Record<string, string> } => ({
    ...{ method: "POST", headers, body: JSON.stringify({ text }) },
  });
  const whole = await openSse(path, post("say a word"));
  await whole.ended;
  const [line] = await about(user, 1);
  expect(line).toMatchObject({
    ...{ route: "/api/v1/conversations/{id}/messages", status: 200, aborted: false },
    first_byte_ms: expect.any(Number),
  });
  expect(Number(line?.["first_byte_ms"])).toBeLessThanOrEqual(Number(line?.["latency_ms"]));
  const asked = {
    model: "scripted",
    messages: [{ role: "user", content: "a word" }],
    stream: true,
  };
  const completion = await fetch(`${gateway.url}/v1/chat/completions`, {
    ...{ method: "POST", headers, body: JSON.stringify(asked) },
  });
  const text = await completion.text();
  const [, second] = await about(user, 2);
  expect(second).toMatchObject({
    ...{ route: "/v1/chat/completions", status: 200, aborted: false },
    ...{ bytes: Buffer.byteLength(text), first_byte_ms: expect.any(Number) },
  });
  const gate = createGate();
  running.world.provider.script({ tokens: ["one ", "two ", "three"], gate });
  const cut = await openSse(path, post("say more"));
  gate.release(1);
  await cut.until((messages) => messages.some(({ event }) => event === "token"));
  expect(lines().filter((one) => one["user"] === user)).toHaveLength(2);
  cut.close();
  const [, , third] = await about(user, 3);
  expect(third).toMatchObject({ status: 200, aborted: true, first_byte_ms: expect.any(Number) });
  gate.release(Infinity);
});

test("a socket is a line when it begins and one when it ends; one that is refused is a request", async () => {
  const user = "sockets";
  const foreign = openForeign(gateway.url, await running.token(user));
  await foreign.next("ready");
  const [opened] = await about(user, 1);
  expect(opened).toMatchObject({ event: "socket.opened", route: "/ws/chat", tenant: "acme" });
  foreign.socket.close(1000);
  await foreign.closed;
  const [, closed] = await about(user, 2);
  expect(closed).toMatchObject({ event: "socket.closed", code: 1000, route: "/ws/chat" });
  expect(Number(closed?.["bytes"])).toBeGreaterThan(10);
  expect(closed?.["request_id"]).toBe(opened?.["request_id"]);
  const before = written.length;
  const refused = new WebSocket(`${gateway.url.replace("http", "ws")}/chat/stream/nothing`);
  refused.on("error", () => undefined);
  await news.until(() => written.length > before);
  expect(lines()[before]).toMatchObject({
    ...{ event: "request", route: "/chat/stream/{id}", status: 404, user: null },
  });
});

test("the dropped lines are a metric", async () => {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  expect(text).toContain("colloquy_access_log_dropped_total 3\n");
  const without = await (await fetch(`${running.gateway.url}/metrics`)).text();
  expect(without).not.toContain("access_log");
});
