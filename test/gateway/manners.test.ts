/** What HTTP clients rely on beside bodies: conditions, keys, methods, versions, origins, codings. */
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import type { Gateway } from "../../gateway/server.ts";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { default_rates } from "../../schemas/rates.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});

const api = "/api/v1/conversations";
type Answer = Awaited<ReturnType<Running["http"]>>;
const coded = ({ status, body }: Answer): unknown[] => [status, body["code"]];

describe("conditions", () => {
  const user = "etag";
  test("a read that is known is a 304, until something happens", async () => {
    const made = await running.http("POST", api, { user, body: { title: "One" } });
    const id = String(made.body["id"]);
    const tag = made.headers.get("etag") ?? "";
    expect(tag).toBe(`"${Number(made.body["revision"])}"`);
    const again = (known: string, path = `${api}/${id}`): Promise<Answer> =>
      running.http("GET", path, { user, headers: { "if-none-match": known } });
    for (const known of [tag, `W/${tag}`, `"other", ${tag}`, "*"]) {
      const answer = await again(known);
      expect([answer.status, answer.body, answer.headers.get("etag")]).toEqual([304, {}, tag]);
    }
    const list = await running.http("GET", api, { user });
    const listed = list.headers.get("etag") ?? "";
    expect((await again(listed, api)).status).toBe(304);
    await running.http("PATCH", `${api}/${id}`, { user, body: { title: "Two" } });
    expect((await again(tag)).status).toBe(200);
    const after = await running.http("GET", api, {
      user,
      headers: { "if-none-match": listed, "x-colloquy-seq": `${await lastSequence()}` },
    });
    expect(after.status).toBe(200);
    expect((await running.http("HEAD", `${api}/${id}`, { user })).headers.get("etag")).not.toBe(
      tag,
    );
  });

  const lastSequence = async (): Promise<number> => {
    const { log } = await running.world.system.client();
    return log.lastSequence();
  };

  test("I2: of two who change what they both read, the second is told; a repeat is no second", async () => {
    const { body, headers } = await running.http("POST", api, { user, body: {} });
    const path = `${api}/${String(body["id"])}`;
    const tag = headers.get("etag") ?? "";
    const change = (title: string, known: string, more = {}): Promise<Answer> =>
      running.http("PATCH", path, {
        user,
        body: { title },
        headers: { "if-match": known, ...more },
      });
    const both = await Promise.all([change("left", tag), change("right", tag)]);
    expect(both.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, 412]);
    const [lost] = both.filter(({ status }) => status === 412);
    expect(lost?.body["code"]).toBe("precondition_failed");
    const now = (await running.http("GET", path, { user })).headers.get("etag") ?? "";
    const key = { "idempotency-key": systemIds() };
    const first = await change("third", now, key);
    expect(coded(await change("third", now, key))).toEqual([200, undefined]);
    for (const known of [tag, '"nothing"', `W/${first.headers.get("etag") ?? ""}`]) {
      expect(coded(await change("never", known))).toEqual([412, "precondition_failed"]);
    }
    expect(coded(await change("never", '"1", "2"'))).toEqual([400, "bad_request"]);
    const remove = (known: string, as = user): Promise<Answer> =>
      running.http("DELETE", path, { user: as, headers: { "if-match": known } });
    expect(coded(await remove(tag))).toEqual([412, "precondition_failed"]);
    // I10: a stranger learns nothing of where it stands.
    expect(coded(await remove(tag, "stranger"))).toEqual([404, "not_found"]);
    expect((await remove(first.headers.get("etag") ?? "")).status).toBe(204);
  });
});

test("an Idempotency-Key with another body is refused, of another caller or place it is another", async () => {
  const user = "keys";
  const headers = { "idempotency-key": "one and the same" };
  const made = await running.http("POST", api, { user, body: { title: "a" }, headers });
  const again = await running.http("POST", api, { user, body: { title: "a" }, headers });
  expect([again.status, again.body["id"]]).toEqual([201, made.body["id"]]);
  const other = await running.http("POST", api, { user, body: { title: "b" }, headers });
  expect(coded(other)).toEqual([422, "idempotency_mismatch"]);
  const elsewhere = await running.another();
  const there = await fetch(`${elsewhere.url}${api}`, {
    method: "POST",
    headers: {
      ...headers,
      authorization: `Bearer ${await running.token(user)}`,
      "content-type": "application/json",
    },
    body: JSON.stringify({ title: "c" }),
  });
  expect(there.status).toBe(422);
  await there.text();
  const body = { title: "b" };
  const stranger = await running.http("POST", api, { user: "k2", body, headers });
  const namesake = await running.http("POST", api, { user, tenant: "other", body, headers });
  expect([stranger.status, namesake.status]).toEqual([201, 201]);
  const path = `${api}/${String(made.body["id"])}/messages`;
  expect((await running.http("POST", path, { user, body: { text: "b" }, headers })).status).toBe(
    202,
  );
  expect(running.problems).toEqual([]);
});

test("I2: an Idempotency-Key is of its route alone, also when it is a UUID", async () => {
  const user = "keys";
  const headers = { "idempotency-key": systemIds() };
  const made = await running.http("POST", api, { user, body: { title: "a" }, headers });
  const path = `${api}/${String(made.body["id"])}`;
  const post = { user, body: { text: "one" }, headers };
  const posted = await running.http("POST", `${path}/messages`, post);
  const changed = await running.http("PATCH", path, { user, body: { title: "b" }, headers });
  expect([posted.status, changed.status, changed.body["title"]]).toEqual([202, 200, "b"]);
  expect((await running.http("POST", `${path}/messages`, post)).body).toEqual(posted.body);
  const cancel = (body: object): Promise<Answer> =>
    running.http("POST", `${path}/cancel`, { user, body, headers });
  expect((await cancel({})).status).toBe(202);
  expect(coded(await cancel({ turn: systemIds() }))).toEqual([422, "idempotency_mismatch"]);
  expect((await running.http("DELETE", path, { user, headers })).status).toBe(204);
  expect((await running.http("GET", path, { user })).status).toBe(410);
});

describe("methods, versions and paths", () => {
  test("what is not there says so with a code, in the form of every problem", async () => {
    const asked: [string, string, number, string][] = [
      ["GET", "/nowhere", 404, "not_found"],
      ["GET", "/api/v1/nowhere", 404, "not_found"],
      ["GET", "/api/v2/conversations", 404, "unknown_version"],
      ["POST", "/api/v10", 404, "unknown_version"],
      ["PUT", api, 405, "method_not_allowed"],
      ["DELETE", "/openapi.json", 405, "method_not_allowed"],
    ];
    for (const [method, path, status, code] of asked) {
      const answer = await running.http(method, path);
      expect([path, ...coded(answer)]).toEqual([path, status, code]);
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
      expect(answer.headers.get("x-colloquy-version")).toBe("v1");
      expect(answer.headers.get("x-content-type-options")).toBe("nosniff");
      expect(answer.headers.get("vary")).toBe("Accept, Authorization, Origin");
    }
  });

  test("a WebSocket's address that is asked without an upgrade says which one it takes", async () => {
    for (const path of ["/ws/chat", `/chat/stream/${systemIds()}`]) {
      const answer = await running.http("GET", path);
      expect([path, ...coded(answer)]).toEqual([path, 426, "upgrade_required"]);
      expect(answer.headers.get("upgrade")).toBe("websocket");
    }
    expect((await running.http("GET", "/chat/stream")).status).toBe(404);
  });

  test("OPTIONS names the methods, HEAD is a GET without its body", async () => {
    const url = running.gateway.url;
    const options = await fetch(`${url}${api}/${systemIds()}`, { method: "OPTIONS" });
    expect([options.status, options.headers.get("allow")]).toEqual([
      204,
      "GET, HEAD, PATCH, DELETE",
    ]);
    const get = await fetch(`${url}/openapi.json`);
    const text = await get.text();
    const head = await fetch(`${url}/openapi.json`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect(head.headers.get("content-length")).toBe(`${Buffer.byteLength(text)}`);
  });
});

test("an answer without a body names no length, and its connection goes on", async () => {
  const user = "frugal";
  const made = await running.http("POST", api, { user, body: {} });
  const path = `${api}/${String(made.body["id"])}`;
  const authorization = `Bearer ${await running.token(user)}`;
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { hostname: host, port } = new URL(running.gateway.url);
  const ask = async (method: string, to: string, headers: Record<string, string> = {}) => {
    const asked = request({
      agent,
      host,
      port,
      method,
      path: to,
      headers: { authorization, ...headers },
    });
    asked.end();
    const [answer] = (await once(asked, "response")) as [IncomingMessage]; // as node:http says
    let text = "";
    for await (const part of answer) text += String(part);
    const { statusCode, headers: had } = answer;
    return [asked.reusedSocket, statusCode, had["content-length"], text];
  };
  await ask("GET", "/health");
  const etag = made.headers.get("etag") ?? "";
  expect(await ask("GET", path, { "if-none-match": etag })).toEqual([true, 304, undefined, ""]);
  expect(await ask("HEAD", path, { "if-none-match": etag })).toEqual([true, 304, undefined, ""]);
  expect(await ask("OPTIONS", path)).toEqual([true, 204, undefined, ""]);
  expect(await ask("DELETE", path)).toEqual([true, 204, undefined, ""]);
  expect((await ask("GET", path)).slice(0, 2)).toEqual([true, 410]);
  agent.destroy();
});

describe("bodies", () => {
  test("I11: a compressed one is refused before it is unpacked", async () => {
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, 0x20));
    expect(bomb.byteLength).toBeLessThan(limits.body_bytes_max);
    for (const coding of ["gzip", "br", "GZIP", "gzip, identity"]) {
      const answer = await fetch(`${running.gateway.url}${api}`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${await running.token("bomb")}`,
          "content-type": "application/json",
          "content-encoding": coding,
        },
        body: bomb,
      });
      // RFC 9457, as ours are.
      expect([coding, answer.status, ((await answer.json()) as { code: string }).code]).toEqual([
        ...[coding, 415, "unsupported_media_type"],
      ]);
    }
  });

  test("I11: a socket never agrees to unpack frames", async () => {
    const socket = new WebSocket(
      `${running.gateway.url.replace("http", "ws")}/ws/chat`,
      ["colloquy.v1", `bearer.${await running.token("bomb")}`],
      { perMessageDeflate: true },
    );
    await new Promise<void>((resolve) => socket.once("open", () => resolve()));
    expect(socket.extensions).toBe("");
    socket.terminate();
  });
});

describe("origins", () => {
  const listed = "https://app.example";
  let gateway: Gateway;
  beforeAll(async () => {
    gateway = await running.another({}, { corsOrigins: [listed] });
  });
  const connects = async (headers: Record<string, string>): Promise<number> => {
    const socket = new WebSocket(
      `${gateway.url.replace("http", "ws")}/ws/chat`,
      ["colloquy.v1", `bearer.${await running.token("origin")}`],
      { headers },
    );
    const status = await new Promise<number>((resolve) => {
      socket.once("open", () => resolve(101));
      socket.on("unexpected-response", (_, { statusCode }) => resolve(statusCode));
      socket.once("error", () => undefined);
    });
    socket.terminate();
    return status;
  };

  test("a page of another origin opens no socket; a listed one, its own, and programs do", async () => {
    expect(await connects({})).toBe(101);
    expect(await connects({ origin: listed })).toBe(101);
    expect(await connects({ origin: gateway.url })).toBe(101);
    // A proxy in front of it speaks TLS.
    expect(await connects({ origin: gateway.url.replace("http:", "https:") })).toBe(101);
    for (const origin of [
      "https://evil.example",
      "null",
      `${listed}.evil.example`,
      `${gateway.url}.evil.example`,
      "http://127.0.0.1",
    ]) {
      expect([origin, await connects({ origin })]).toEqual([origin, 403]);
    }
  });

  test("only a listed origin may read, and is told what it may send", async () => {
    const asked = (origin: string): Promise<Response> =>
      fetch(`${gateway.url}${api}`, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "PUT" },
      });
    const yes = await asked(listed);
    expect(yes.headers.get("access-control-allow-origin")).toBe(listed);
    expect(yes.headers.get("access-control-allow-methods")).toBe("POST, GET, HEAD");
    for (const name of ["Idempotency-Key", "If-Match", "Last-Event-ID", "X-Colloquy-Seq"]) {
      expect(yes.headers.get("access-control-allow-headers")).toContain(name);
    }
    const no = await asked("https://evil.example");
    for (const name of no.headers.keys()) expect(name).not.toMatch(/^access-control/);
    const read = await fetch(`${gateway.url}/health`, { headers: { origin: listed } });
    expect(read.headers.get("access-control-expose-headers")).toContain("ETag");
    await read.text();
  });
});

describe("what strangers may ask", () => {
  test("I11: what strangers may ask costs the servers one question in a while", async () => {
    const { log } = await running.world.system.client();
    const asked = { ready: 0, end: 0, positions: 0 };
    let now_ms = Date.now();
    const at = await running.another({
      clock: { ...systemClock, now: () => now_ms },
      log: { ...log, lastSequence: () => ((asked.end += 1), log.lastSequence()) },
      queries: {
        ...running.queries,
        positions: () => ((asked.positions += 1), running.queries.positions()),
      },
      ready: async () => ((asked.ready += 1), { ready: asked.ready < 2, checks: [] }),
    });
    const all = (path: string): Promise<Response[]> =>
      Promise.all(Array.from({ length: 20 }, () => fetch(`${at.url}${path}`)));
    for (const { status } of await all("/ready")) expect(status).toBe(200);
    for (const response of await all("/metrics")) {
      expect(await response.text()).toContain("colloquy_ready 1\n");
    }
    expect(asked).toEqual({ ready: 1, end: 1, positions: 1 });
    now_ms += limits.probe_kept_ms;
    expect((await fetch(`${at.url}/ready`)).status).toBe(503);
    expect(await (await fetch(`${at.url}/metrics`)).text()).toContain("colloquy_ready 0\n");
    expect(asked).toEqual({ ready: 2, end: 2, positions: 2 });
    // A gateway that goes says so at once.
    at.retire();
    expect((await fetch(`${at.url}/ready`)).status).toBe(503);
  });

  test("metrics are shown to whoever brings their token, where there is one", async () => {
    const rates = { ...default_rates, refused: 3 };
    const at = await running.another({ metricsToken: "of-the-scraper", rates });
    const scrape = async (token?: string): Promise<number> => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      const response = await fetch(`${at.url}/metrics`, { headers });
      expect((await response.text()).includes("colloquy_sockets")).toBe(response.status === 200);
      return response.status;
    };
    expect(await scrape("of-the-scraper")).toBe(200);
    expect(await scrape()).toBe(401);
    expect(await scrape("of-the-scrape")).toBe(401);
    expect(await scrape(await running.token())).toBe(401);
    expect(await scrape("another-guess")).toBe(429);
    expect(await scrape("of-the-scraper")).toBe(200);
  });

  test("the page runs its own scripts alone, is in nobody's frame, and is asked for anew", async () => {
    const html = { type: "text/html; charset=utf-8", bytes: Buffer.from("<p>"), etag: '"1"' };
    const at = await running.another({ page: new Map([["/", html]]) });
    const { headers } = await fetch(`${at.url}/`);
    const policy = (headers.get("content-security-policy") ?? "").split("; ").toSorted();
    expect(policy).toEqual([
      "base-uri 'none'",
      "connect-src 'self'",
      "default-src 'none'",
      "font-src 'self'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "img-src 'self' data:",
      "manifest-src 'self'",
      "script-src 'self'",
      "style-src 'self'",
    ]);
    for (const [name, value] of [
      ["x-frame-options", "DENY"],
      ["x-content-type-options", "nosniff"],
      ["referrer-policy", "no-referrer"],
      ["cross-origin-opener-policy", "same-origin"],
      ["permissions-policy", "camera=(), geolocation=(), microphone=()"],
      ["cache-control", "no-cache"],
    ] as const) {
      expect([name, headers.get(name)]).toEqual([name, value]);
    }
    const known = await fetch(`${at.url}/`, { headers: { "if-none-match": '"1"' } });
    expect(known.status).toBe(304);
    expect(known.headers.get("content-security-policy")?.split("; ").toSorted()).toEqual(policy);
  });
});
