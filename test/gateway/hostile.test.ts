/**
 * Garbage at the parsers of the gateway: its sender gets one coded error, the socket stays where that
 * is safe, and a conversation of somebody else on the same gateway goes on as if nothing happened.
 */
import { once } from "node:events";
import { connect as tcp } from "node:net";
import fc from "fast-check";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ErrorCode, errors } from "../../schemas/errors.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Foreign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

/** Somebody else's answer, running while each test does its worst. */
let victim: Foreign;
let turn: string;
let answer: string;
beforeEach(async () => {
  victim = await running.connect({ user: "victim" });
  const conversation = systemIds();
  victim.send({
    ...{ type: "send", id: systemIds(), conversation },
    text: "go on [[tokens:30]] [[gate]]",
  });
  running.world.provider.release(10);
  turn = (await victim.next("token")).turn;
  answer = running.world.provider.requests.at(-1)?.text ?? "";
});
afterEach(async () => {
  const { provider } = running.world;
  let attempt = 1;
  provider.release(20);
  // A machine that stands still for seconds makes the worker begin again: then all of it comes anew.
  await victim.until((frames) => {
    const restarts = frames.filter((one) => "event" in one && one.event.type === "turn.restarted");
    for (; attempt <= restarts.length; attempt++) provider.release(30);
    return frames.some(({ type }) => type === "end");
  });
  expect(await victim.next("end")).toMatchObject({ turn, finish: "stop" });
  expect(victim.text(turn, attempt)).toBe(answer);
  expect(victim.frames.filter(({ type }) => type === "error")).toEqual([]);
  expect(running.problems).toEqual([]);
  victim.end();
});

const isCode = (code: string): code is ErrorCode => Object.hasOwn(errors, code);

describe("WebSocket frames", () => {
  /** What a client that means no good would write; never a frame that is right. */
  const uuid = fc.uuid();
  const wrongId = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.constant("../../x"));
  const type = fc.constantFrom("send", "cancel", "edit", "subscribe", "watch", "unsubscribe");
  const garbage = fc.oneof(
    fc.string().map((text) => `{${text}`),
    fc.json().filter((text) => !text.startsWith("{")),
    fc.constantFrom("", "null", "[]", '"send"', "{}", "\u0000", "{", '{"type":"__proto__"}'),
    fc.record({ type: fc.string(), id: uuid }).map((frame) => JSON.stringify(frame)),
    fc.record({ type, id: wrongId, conversation: wrongId }).map((frame) => JSON.stringify(frame)),
    fc
      .record({ type: fc.constant("send"), id: uuid, conversation: wrongId, text: fc.anything() })
      .map((frame) => JSON.stringify(frame, (_, value) => (typeof value === "bigint" ? 0 : value))),
    fc.integer({ min: 1, max: 20_000 }).map((depth) => "[".repeat(depth) + "]".repeat(depth)),
    fc
      .integer({ min: 1, max: 5_000 })
      .map((depth) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`),
    fc.constant(
      JSON.stringify({
        ...{ type: "send", id: systemIds(), conversation: systemIds(), text: "hi" },
        ...Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`key${n}`, n])),
      }),
    ),
    fc.constant(`{"type":"send","__proto__":{"text":"a"},"constructor":{"prototype":{}}}`),
  );

  test("I11: each gets one coded error, and the socket answers the next right frame", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(garbage, { minLength: 1, maxLength: 19 }), async (texts) => {
        const client = await running.connect({ user: "mallory" });
        const told = client.frames.length;
        for (const text of texts) client.socket.send(text);
        client.send({ type: "ping" });
        await client.next("pong");
        const answers = client.frames.slice(told, -1);
        expect(answers).toHaveLength(texts.length);
        for (const answer of answers) {
          expect(["error", "nack"]).toContain(answer.type);
          const code = answer.type === "nack" ? answer.error.code : "code" in answer && answer.code;
          expect(isCode(String(code)), String(code)).toBe(true);
          expect(code).not.toBe("internal");
        }
        client.end();
      }),
      { numRuns: 60 },
    );
  });

  test("the twentieth malformed frame in ten seconds closes the socket with 1008", async () => {
    const client = await running.connect({ user: "mallory" });
    for (let n = 0; n < limits.malformed_frames_max; n++) client.socket.send("{");
    expect(await client.closed).toEqual({ code: 1008, reason: "too_many_malformed" });
    const codes = client.frames.flatMap((one) => (one.type === "error" ? one.code : []));
    expect(codes).toHaveLength(limits.malformed_frames_max + 1);
    expect(codes.at(-1)).toBe("too_many_malformed");
  });

  test("only oversize, binary and invalid UTF-8 close at once", async () => {
    const open = (): Promise<Foreign> => running.connect({ user: "mallory" });
    const large = await open();
    large.socket.send("x".repeat(limits.frame_bytes_max + 1));
    expect(await large.closed).toEqual({ code: 1009, reason: "too_large" });
    const huge = await open();
    huge.socket.send("x".repeat(3 * 1024 * 1024));
    // Above its own limit the native server closes without a close frame.
    expect([1006, 1009]).toContain((await huge.closed).code);
    const whole = await open();
    const { frame_gathered_bytes_max: most_bytes } = limits;
    whole.socket.send("x".repeat(most_bytes / 2), { fin: false });
    whole.socket.send("x".repeat(most_bytes), { fin: false });
    // I11: what never comes whole is not gathered without an end.
    expect((await whole.closed).code).toBe(1006);
    const binary = await open();
    binary.socket.send(Buffer.from("{}"), { binary: true });
    expect(await binary.closed).toEqual({ code: 1003, reason: "binary_frame" });
    const broken = await open();
    broken.socket.send(Buffer.from([0x22, 0xff, 0xfe, 0x22]), { binary: false });
    expect([1006, 1007]).toContain((await broken.closed).code);
    const most = await open();
    most.socket.send(" ".repeat(limits.frame_bytes_max));
    expect(await most.next("error")).toMatchObject({ code: "bad_json" });
  });

  test("I11: who pings and never reads what the server answers is closed", async () => {
    const socket = tcp(running.gateway.port, "127.0.0.1");
    socket.on("error", () => undefined); // a reset is an answer too
    const token = await running.token("mallory");
    const upgrade = ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"];
    const key = `Sec-WebSocket-Key: ${Buffer.alloc(16).toString("base64")}`;
    const head = ["GET /ws/chat HTTP/1.1", "Host: a", `Authorization: Bearer ${token}`];
    socket.write([...head, ...upgrade, key, "", ""].join("\r\n"));
    await once(socket, "data");
    socket.pause();
    const ping = Buffer.concat([Buffer.from([0x89, 0x80 | 125, 0, 0, 0, 0]), Buffer.alloc(125)]);
    // Answered, it is more than two kernels take for whoever does not read, and then some.
    await new Promise((resolve) => {
      socket.write(Buffer.concat(Array.from({ length: 200_000 }, () => ping)), resolve);
    });
    socket.resume();
    await once(socket, "close");
  });

  test("I10: commands with right shapes and strange contents are refused by name", async () => {
    const client = await running.connect({ user: "mallory" });
    const conversation = systemIds();
    const text = "x".repeat(limits.text_chars_max + 1);
    const asked: [string, Record<string, unknown>][] = [
      ["text_too_long", { type: "send", conversation, text }],
      ["model_not_found", { type: "send", conversation, text: "a", model: "nobody" }],
      ["not_found", { type: "subscribe", conversation }],
      ["bad_request", { type: "subscribe", conversation, after: { revision: -1 } }],
      ["bad_request", { type: "subscribe", conversation, after: { revision: 1, seq: 3 } }],
    ];
    for (const [code, frame] of asked) {
      expect(await client.ask(frame)).toMatchObject({ type: "nack", error: { code } });
    }
    client.send({ type: "auth", token: "a.b.c" });
    expect(await client.next("error")).toMatchObject({ code: "unauthenticated" });
  });
});

describe("HTTP requests", () => {
  const path = "/api/v1/conversations";
  /** Writes bytes over TCP, ends, and gives all that comes back. */
  function raw(bytes: Uint8Array): Promise<string> {
    const socket = tcp(running.gateway.port, "127.0.0.1");
    socket.on("error", () => undefined); // a reset is an answer too
    let heard = "";
    socket.on("data", (chunk) => (heard += chunk.toString("latin1")));
    socket.end(bytes);
    return new Promise((resolve) => socket.on("close", () => resolve(heard)));
  }
  const head = (token: string, more: string): string =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n${more}\r\n\r\n`;

  test("I11: any body gets one coded problem", async () => {
    const token = await running.token("mallory");
    const body = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 2_000 }),
      fc.string({ minLength: 1 }).map((text) => Buffer.from(`{${text}`)),
      fc.json().map((text) => Buffer.from(`{"unknown":${text}}`)),
      fc.integer({ min: 1, max: 20_000 }).map((n) => Buffer.from("[".repeat(n) + "]".repeat(n))),
    );
    // The one short body that is right: a conversation without wishes.
    const wrong = body.filter((bytes) => Buffer.from(bytes).toString().trim() !== "{}");
    await fc.assert(
      fc.asyncProperty(wrong, async (bytes) => {
        const answer = await fetch(`${running.gateway.url}${path}`, {
          method: "POST",
          headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
          body: Buffer.from(bytes),
        });
        expect(answer.status).toBe(400);
        const problem = (await answer.json()) as { code: string }; // RFC 9457, as ours are
        expect(["bad_json", "invalid_utf8", "bad_request"]).toContain(problem.code);
      }),
      { numRuns: 60 },
    );
  });

  test("strange paths and queries are answered, not followed", async () => {
    const token = await running.token("mallory");
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.webPath(), fc.constantFrom("/..%2f..", "/web/../../etc/passwd", "/%00")),
        fc.webQueryParameters(),
        async (where, query) => {
          const answer = await fetch(`${running.gateway.url}${path}${where}?${query}`, {
            headers: { authorization: `Bearer ${token}` },
          });
          expect(answer.status).toBeLessThan(500);
          await answer.text();
        },
      ),
      { numRuns: 60 },
    );
  });

  test("bytes that are no HTTP never reach anybody else", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 500 }), async (bytes) => {
        const heard = await raw(Buffer.concat([bytes, Buffer.from("\r\n\r\n")]));
        expect(heard).toMatch(/^$|^HTTP\/1\.1 [45]/);
      }),
      { numRuns: 100 },
    );
    expect((await fetch(`${running.gateway.url}/health`)).status).toBe(200);
  });

  test("I10: a header that comes twice hides neither, and no body has two lengths", async () => {
    const [mine, theirs] = await Promise.all(
      ["mallory", "victim"].map((user) => running.token(user)),
    );
    const json = "Content-Type: application/json";
    const asked: [string, number, string][] = [
      [`Authorization: Bearer ${theirs}\r\n${json}\r\nContent-Length: 2`, 401, "unauthenticated"],
      [`${json}\r\nContent-Length: 2\r\nContent-Length: 40`, 400, "bad_request"],
      [`${json}\r\nTransfer-Encoding: gzip, chunked`, 400, "bad_request"],
    ];
    for (const [more, status, code] of asked) {
      const chunked = more.includes("chunked") ? "2\r\n{}\r\n0\r\n\r\n" : "{}";
      const heard = await raw(Buffer.from(`${head(mine ?? "", more)}${chunked}`));
      expect([more, heard]).toEqual([more, expect.stringMatching(`^HTTP/1.1 ${status} `)]);
      expect(heard).toContain(`"code":"${code}"`);
      expect(heard.match(/HTTP\/1\.1/g)).toHaveLength(1);
    }
  });

  test("I10: I11: what nests without an end is refused before it is parsed", async () => {
    const levels = 1_000_000;
    const deep = `{"metadata":${"[".repeat(levels)}${"]".repeat(levels)}}`;
    const answer = await fetch(`${running.gateway.url}/api/v1/ai/chat`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${await running.token("mallory")}`,
        "content-type": "application/json",
      },
      body: deep,
    });
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining("levels")]);
    const client = await running.connect({ user: "mallory" });
    client.socket.send(`{"type":"ping","x":${"[".repeat(100)}${"]".repeat(100)}}`);
    expect(await client.next("error")).toMatchObject({ code: "bad_request" });
  });

  test("I11: a body far over the limit is refused by name, and a next request is served", async () => {
    for (const bytes of [limits.body_bytes_max + 1, 8 * 1024 * 1024]) {
      const { status, body } = await running.http("POST", path, {
        user: "mallory",
        body: { title: "x".repeat(bytes) },
      });
      expect([status, body["code"]]).toEqual([413, "too_large"]);
    }
    expect((await running.http("POST", path, { user: "mallory", body: {} })).status).toBe(201);
  });

  test("I11: a body that never ends is cut off", async () => {
    const token = await running.token("mallory");
    const socket = tcp(running.gateway.port, "127.0.0.1");
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.on("error", () => undefined); // a reset is what is asked for
    socket.resume();
    socket.write(head(token, `Content-Type: application/json\r\nContent-Length: ${2 ** 40}`));
    const chunk = Buffer.alloc(64 * 1024, 0x20);
    let sent = 0;
    const pump = (): void => {
      while (!socket.destroyed && sent < 1024 ** 3) {
        sent += chunk.byteLength;
        if (!socket.write(chunk)) return void socket.once("drain", pump);
      }
    };
    pump();
    await closed;
    expect(sent).toBeLessThan(64 * 1024 * 1024);
  });

  test("I11: bodies that dribble hold up nobody", async () => {
    const token = await running.token("mallory");
    const slow = Array.from({ length: 50 }, () => {
      const socket = tcp(running.gateway.port, "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write(`${head(token, "Content-Type: application/json\r\nContent-Length: 100")}{`);
      return socket;
    });
    await Promise.all(slow.map((socket) => once(socket, "connect")));
    const { status } = await running.http("POST", path, { body: {}, user: "mallory" });
    expect(status).toBe(201);
    for (const socket of slow) socket.destroy();
  });
});
