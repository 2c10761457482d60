/** Turns over Server-Sent Events: streamed, resumed, slow, and read with the real curl. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { beforeAll, describe, expect, test } from "vitest";
import { errorBody } from "../../schemas/errors.ts";
import { systemIds } from "../../schemas/ids.ts";
import { openChatStream } from "./chat-stream.ts";
import { openForeign } from "./foreign.ts";
import { no_limits, type Running, startRunning } from "./running.ts";
import { openSse, readEvents, type SseMessage, type SseStream } from "./sse-client.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const path = (id: string): string => `/api/v1/conversations/${id}/messages`;

interface Asked {
  readonly user: string;
  readonly at?: { readonly url: string };
  readonly headers?: Record<string, string>;
}

async function asking({ user, headers = {} }: Asked): Promise<Record<string, string>> {
  return { authorization: `Bearer ${await running.token(user)}`, ...headers };
}

async function post(id: string, text: string, asked: Asked): Promise<SseStream> {
  const headers = { "content-type": "application/json", ...(await asking(asked)) };
  const url = `${(asked.at ?? running.gateway).url}${path(id)}`;
  return openSse(url, { method: "POST", headers, body: JSON.stringify({ text }) });
}

async function get(id: string, asked: Asked): Promise<SseStream> {
  return openSse(`${(asked.at ?? running.gateway).url}${path(id)}`, {
    headers: await asking(asked),
  });
}

const tokens = (messages: readonly SseMessage[]): readonly SseMessage[] =>
  messages.filter(({ event }) => event === "token");
/** The text of the last attempt; throws when a frame is missing or twice. */
function textOf(messages: readonly SseMessage[]): string {
  let [text, attempt, seq] = ["", 0, 0];
  for (const { data } of tokens(messages)) {
    if (data["attempt"] !== attempt) [text, attempt, seq] = ["", Number(data["attempt"]), 0];
    const first = Number(data["from"] ?? data["seq"]);
    if (first !== seq + 1) throw new Error(`frame ${first} after ${seq}`);
    seq = Number(data["seq"]);
    text += String(data["content"]);
  }
  return text;
}
const revisions = (messages: readonly SseMessage[]): number[] =>
  messages.flatMap(({ event, data }) => (event === "event" ? [Number(data["revision"])] : []));
const lastId = ({ messages }: SseStream): string => messages.at(-1)?.id ?? "";

test("HEAD of a stream is its head alone, and the connection goes on", async () => {
  const id = systemIds();
  const user = "heads";
  const asked = await post(id, "say a word", { user });
  await asked.ended;
  const { authorization = "" } = await asking({ user });
  const { hostname, port } = new URL(running.gateway.url);
  const socket = connect(Number(port), hostname);
  const lines = (...said: string[]): string =>
    [...said, "Host: x", `Authorization: ${authorization}`, "", ""].join("\r\n");
  socket.write(lines(`HEAD ${path(id)} HTTP/1.1`, "Accept: text/event-stream"));
  let text = "";
  for await (const part of socket) {
    // One after the other: the server takes no two at once.
    if (text === "") socket.write(lines("GET /health HTTP/1.1"));
    text += String(part);
    if (text.endsWith("}")) break;
  }
  const [head = "", next = "", ...rest] = text.split("\r\n\r\n");
  expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*Content-Type: text\/event-stream/);
  expect(next).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(rest).toEqual(['{"status":"ok"}']);
});

describe("a turn as a stream of events", () => {
  test("I5: a POST streams its turn and closes after the turn's end", async () => {
    const id = systemIds();
    const stream = await post(id, "hello there", { user: "sse" });
    await stream.ended;
    expect(stream.status).toBe(200);
    expect(stream.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const names = stream.messages.map(({ event }) => event);
    expect(names[0]).toBe("ack");
    expect(names.at(-1)).toBe("end");
    expect(revisions(stream.messages).slice(0, 3)).toEqual([1, 2, 3]);
    const [request] = running.world.provider.requests.slice(-1);
    expect(textOf(stream.messages)).toBe(request?.text);
    for (const message of stream.messages) {
      expect(message.id).toMatch(/^\d+\.([0-9a-f-]{36}\.\d+\.\d+|-\.-\.-)$/);
      expect(message.data["type"]).toBe(message.event);
    }
    const ack = stream.messages[0]?.data;
    expect(stream.headers.get("x-colloquy-seq")).toBe(String(ack?.["seq"]));
  });

  test("what is wrong is told before a stream begins, as a problem", async () => {
    const missing = await get(systemIds(), { user: "sse" });
    expect(missing.status).toBe(404);
    const id = systemIds();
    await (
      await post(id, "mine", { user: "sse" })
    ).ended;
    const stranger = await get(id, { user: "mallory" });
    expect(stranger.status).toBe(404);
    for (const cursor of ["rubbish", "9999.-.-.-", `1.${systemIds()}.-.1`]) {
      const asked = { user: "sse", headers: { "last-event-id": cursor } };
      expect((await get(id, asked)).status).toBe(400);
    }
  });

  test("I6: resumed at every message, from another gateway, it tells the rest once", async () => {
    const other = await running.another();
    const id = systemIds();
    const whole = await post(id, "resume me", { user: "again" });
    await whole.ended;
    const text = textOf(whole.messages);
    const all = revisions(whole.messages);
    for (const [at, { id: cursor }] of whole.messages.entries()) {
      const headers = { "last-event-id": cursor };
      const rest = await get(id, { user: "again", at: other, headers });
      await rest.ended;
      const told = whole.messages.slice(0, at + 1);
      const joined = [...told, ...rest.messages];
      expect(textOf(joined)).toBe(text);
      expect(new Set(revisions(joined)).size).toBe(revisions(joined).length);
      expect(revisions(joined).slice(0, all.length)).toEqual(all);
      expect(joined.filter(({ event }) => event === "end")).toHaveLength(1);
    }
  });

  test("I6: cut off while it runs, it goes on where it was, by GET and by the same POST", async () => {
    const id = systemIds();
    const { provider } = running.world;
    const key = { "idempotency-key": "one of a kind" };
    const words = Array.from({ length: 6 }, (_, n) => `word${n} `);
    provider.script({ tokens: words, gate: true });
    const first = await post(id, "slowly", { user: "cut", headers: key });
    provider.release(2);
    await first.until((messages) => textOf(messages) === words.slice(0, 2).join(""));
    first.close();
    const cursor = { "last-event-id": lastId(first) };
    const second = await get(id, { user: "cut", headers: cursor });
    const third = await post(id, "slowly", { user: "cut", headers: { ...key, ...cursor } });
    provider.release(4);
    for (const rest of [second, third]) {
      await rest.ended;
      expect(textOf([...first.messages, ...rest.messages])).toBe(words.join(""));
      expect(rest.messages.at(-1)?.event).toBe("end");
    }
    const asked = provider.requests.filter(({ message }) => message === "slowly");
    expect(asked.map(({ state }) => state)).toEqual(["finished"]);
  });

  test("I11: so many at once, of a user and of an address, and each that ends gives its place back", async () => {
    const rates = { ...no_limits, connectionsPerUser: 2, connectionsPerIp: 3 };
    const at = await running.another({ rates });
    const { provider } = running.world;
    provider.script({ tokens: ["many ", "readers"], gate: true });
    const id = systemIds();
    const asked = { user: "many", at };
    const both = [await post(id, "two of me", asked), await get(id, asked)];
    expect((await get(id, asked)).status).toBe(429);
    // A WebSocket is one of them.
    const socket = openForeign(at.url, await running.token("many"));
    expect(await socket.closed).toEqual({ code: 1013, reason: "too_many_connections" });
    const other = await running.connect({ user: "another", at });
    const fourth = openForeign(at.url, await running.token("third"));
    expect((await fourth.closed).code).toBe(1006);
    both.pop()?.close();
    await expect.poll(async () => (await get(id, asked)).status).toBe(200);
    provider.release(2);
    await both[0]?.ended;
    await expect
      .poll(async () => (await (await fetch(`${at.url}/metrics`)).text()).includes("sockets 1\n"))
      .toBe(true);
    other.end();
  });

  test("I6: resumed after its attempts changed, only the last attempt's text is told", async () => {
    const id = systemIds();
    const { provider } = running.world;
    provider.script({ tokens: ["lost ", "for ", "ever "], gate: true });
    const first = await post(id, "twice", { user: "attempts" });
    provider.release(1);
    await first.until((messages) => textOf(messages) === "lost ");
    first.close();
    provider.script({ tokens: ["found ", "again"] });
    await running.world.worker();
    await running.worker.crash();
    const rest = await get(id, { user: "attempts", headers: { "last-event-id": lastId(first) } });
    await rest.ended;
    expect(textOf([...first.messages, ...rest.messages])).toBe("found again");
  });

  test("I6: a gateway that ends in mid-answer loses nothing but its connections", async () => {
    const dying = await running.another();
    const id = systemIds();
    const { provider } = running.world;
    const words = Array.from({ length: 6 }, (_, n) => `part${n} `);
    provider.script({ tokens: words, gate: true });
    const first = await post(id, "outlive me", { user: "two", at: dying });
    const device = await get(id, { user: "two", at: dying });
    provider.release(2);
    for (const one of [first, device]) {
      await one.until((messages) => textOf(messages) === words.slice(0, 2).join(""));
    }
    await dying.stop(0);
    for (const one of [first, device]) await one.ended;
    const rests = [];
    for (const one of [first, device]) {
      const headers = { "last-event-id": lastId(one) };
      rests.push({ before: one, rest: await get(id, { user: "two", headers }) });
    }
    provider.release(4);
    for (const { before, rest } of rests) {
      await rest.ended;
      expect(textOf([...before.messages, ...rest.messages])).toBe(words.join(""));
      expect(rest.messages.at(-1)?.event).toBe("end");
    }
    expect(provider.requests.filter(({ message }) => message === "outlive me")).toHaveLength(1);
  });

  test("I10: unsharing ends every kind of stream in the middle of an answer, and no other reader's", async () => {
    const other = await running.another();
    const { provider } = running.world;
    const [id, message] = [systemIds(), systemIds()];
    provider.script({ tokens: ["for ", "some ", "eyes"], gate: true });
    const body = JSON.stringify({ id: message, text: "whose?" });
    const headers = { "content-type": "application/json", ...(await asking({ user: "ann" })) };
    const url = `${running.gateway.url}${path(id)}`;
    const owner = await openSse(url, { method: "POST", headers, body });
    provider.release(1);
    await owner.until((messages) => textOf(messages) === "for ");
    const shares = `/api/v1/conversations/${id}/shares`;
    for (const user of ["vi", "stays"]) {
      const shared = await running.http("PUT", `${shares}/${user}`, { body: { role: "editor" } });
      expect(shared.status).toBe(200);
    }
    const vi = await asking({ user: "vi" });
    const question = { id: message, role: "user", content: "whose?" };
    const streams = await Promise.all([
      get(id, { user: "vi" }),
      get(id, { user: "vi", at: other }),
      openSse(`${other.url}/api/v1/ai/chat/${id}/stream`, { headers: vi }),
      openSse(`${other.url}/api/v1/ag-ui`, {
        ...{ method: "POST", headers: { ...vi, "content-type": "application/json" } },
        body: JSON.stringify({ threadId: id, runId: "mine", messages: [question] }),
      }),
    ]);
    const stays = await get(id, { user: "stays", at: other });
    const chat = openChatStream(other.url, `/chat/stream/${id}`, await running.token("vi"));
    const heard = (messages: readonly SseMessage[]): boolean =>
      messages.some(({ data }) => [data["content"], data["delta"]].includes("for "));
    for (const one of [...streams, stays]) await one.until(heard);
    await chat.until(() => chat.frames.length === 1);
    expect((await running.http("DELETE", `${shares}/vi`)).status).toBe(204);
    for (const one of streams) await one.ended;
    const { code, message: why } = errorBody("unshared");
    const error = { type: "error", code, message: why };
    expect(streams.map(({ messages }) => messages.at(-1)?.data)).toEqual([
      ...[error, error],
      { type: "error", errorText: `${code}: ${why}` },
      { ...error, type: "RUN_ERROR", metadata: { retryable: false } },
    ]);
    expect(await chat.closed).toBe(1008);
    expect(chat.frames.slice(1)).toEqual([error]);
    for (const at of [running.gateway, other]) {
      const last = { "last-event-id": streams[0] === undefined ? "" : lastId(streams[0]) };
      expect((await get(id, { user: "vi", at, headers: last })).status).toBe(404);
    }
    provider.release(2);
    for (const one of [owner, stays]) {
      await one.ended;
      expect(textOf(one.messages)).toBe("for some eyes");
    }
    for (const one of streams) expect(JSON.stringify(one.messages)).not.toContain("some ");
  });

  test("a reader that has all there is is told so, and EventSource asks no more", async () => {
    const id = systemIds();
    const stream = await post(id, "all of it", { user: "done" });
    await stream.ended;
    const page = await get(id, { user: "done" });
    await page.ended;
    expect(textOf(page.messages)).toBe(textOf(stream.messages));
    const again = await get(id, { user: "done", headers: { "last-event-id": lastId(page) } });
    expect(again.status).toBe(204);
  });

  test("curl -N reads a turn as it is written", async () => {
    const { provider } = running.world;
    provider.script({ tokens: ["one ", "two ", "three"], gate: true });
    const id = systemIds();
    const url = `${running.gateway.url}${path(id)}`;
    const curl = spawn("curl", [
      ...["-sN", "-H", "Accept: text/event-stream", "-H", "Content-Type: application/json"],
      ...["-H", `Authorization: Bearer ${await running.token("curl")}`],
      ...["-d", JSON.stringify({ text: "by curl" }), url],
    ]);
    let out = "";
    const read = (wanted: string): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (textOf(readEvents(out)) !== wanted) return;
          curl.stdout.off("data", look);
          resolve();
        };
        curl.stdout.on("data", look);
        look();
      });
    curl.stdout.on("data", (bytes: Buffer) => (out += bytes.toString()));
    for (const [at, wanted] of ["one ", "one two ", "one two three"].entries()) {
      provider.release(1);
      await read(wanted);
      expect(at).toBeLessThan(3);
    }
    expect(await once(curl, "close")).toEqual([0, null]);
    expect(readEvents(out).at(-1)?.event).toBe("end");
  });
});
