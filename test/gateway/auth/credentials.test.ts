/** What programs come with: API keys, and the tokens of other issuers, at gateways of one system. */
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import { decodeJwt } from "jose";
import { openKeyRing } from "../../../gateway/auth/key-ring.ts";
import type { Gateway } from "../../../gateway/server.ts";
import { default_rates } from "../../../schemas/rates.ts";
import { systemIds } from "../../../schemas/ids.ts";
import { readIssuers } from "../../../schemas/issuers.ts";
import { secret } from "../../streams/system.ts";
import { openForeign } from "../foreign.ts";
import type { Running } from "../running.ts";
import { ask, profile, register, signIn } from "./door.ts";
import { startInstallation } from "./installation.ts";

let running: Running;
let here: Gateway;
let there: Gateway;
beforeAll(async () => {
  ({ running, here, there } = await startInstallation());
  return () => running.stop();
});

describe("API keys", () => {
  test("I10: shown once, limited to their scopes, revoked at once with their sockets", async () => {
    await register(here, "ned@example.org");
    const token = (await signIn(here, "ned@example.org")).accessToken;
    const made = await ask(here, "POST", "/api/v1/api-keys", {
      ...{ token, body: { name: "program", scopes: ["read"] } },
    });
    expect(made.status).toBe(201);
    const key = String(made.body["key"]);
    const listed = await ask(here, "GET", "/api/v1/api-keys", { token });
    expect(JSON.stringify(listed.body)).not.toContain(key.slice(-43));
    expect((await ask(there, "GET", "/api/v1/conversations", { token: key })).status).toBe(200);
    const may = (await ask(there, "GET", profile, { token: key })).body["permissions"];
    expect(may).toContain("conversations.read");
    expect(may).not.toContain("conversations.write");
    const wrote = await ask(there, "POST", "/api/v1/conversations", { token: key, body: {} });
    expect(wrote.status).toBe(403);
    const widened = await ask(here, "POST", "/api/v1/api-keys", {
      ...{ token: key, body: { name: "wider", scopes: ["write"] } },
    });
    expect(widened.status).toBe(403);
    // A gateway that has never seen the key has to look it up: the socket waits for that.
    const fresh = await running.another();
    const socket = openForeign(fresh.url, key);
    expect(await socket.next("ready")).toMatchObject({ user: decodeJwt(token).sub });
    const wrong = openForeign(fresh.url, `${key.slice(0, -4)}AAAA`);
    expect((await wrong.closed).code).toBe(4401);
    const gone = await ask(here, "DELETE", `/api/v1/api-keys/${String(made.body["id"])}`, {
      token,
    });
    expect(gone.status).toBe(204);
    expect((await socket.closed).code).toBe(4401);
    for (const at of [here, there, fresh]) {
      expect((await ask(at, "GET", profile, { token: key })).status).toBe(401);
    }
  });

  test("I10: without the scope for it a key follows no turn", async () => {
    await register(here, "quy@example.org");
    const token = (await signIn(here, "quy@example.org")).accessToken;
    const made = await ask(here, "POST", "/api/v1/api-keys", {
      ...{ token, body: { name: "writer", scopes: ["write"] } },
    });
    const begun = await ask(here, "POST", "/api/v1/conversations", { token, body: {} });
    const url = `${here.url.replace("http", "ws")}/chat/stream/${String(begun.body["id"])}`;
    const told = async (credential: string): Promise<string> => {
      const socket = new WebSocket(url, { headers: { authorization: `Bearer ${credential}` } });
      let last = "";
      socket.on("message", (data: Uint8Array) => (last = Buffer.from(data).toString()));
      await new Promise((resolve) => socket.on("close", resolve));
      return last;
    };
    expect(await told(String(made.body["key"]))).toContain('"code":"forbidden"');
    // It has no turn.
    expect(await told(token)).toContain('"code":"not_found"');

    // What it sends over a socket is taken, and that is all that it is told.
    const conversation = systemIds();
    const writer = openForeign(here.url, String(made.body["key"]));
    await writer.next("ready");
    const sent = { type: "send", conversation, parent: null };
    expect(await writer.ask({ ...sent, text: "one" })).toMatchObject({ type: "ack" });
    const reader = openForeign(here.url, token);
    await reader.next("ready");
    await reader.ask({ type: "subscribe", conversation });
    await reader.ask({ ...sent, text: "two" });
    await reader.next("end");
    writer.send({ type: "ping" });
    await writer.next("pong");
    expect(new Set(writer.frames.map(({ type }) => type))).toEqual(
      new Set(["ready", "ack", "pong"]),
    );
    expect(await writer.ask({ type: "subscribe", conversation })).toMatchObject({
      error: { code: "forbidden" },
    });
    for (const socket of [writer, reader]) socket.end();
  });

  test("I10: a key that may only read rates nothing", async () => {
    await register(here, "sam@example.org");
    const token = (await signIn(here, "sam@example.org")).accessToken;
    const made = await ask(here, "POST", "/api/v1/api-keys", {
      ...{ token, body: { name: "reader", scopes: ["read"] } },
    });
    const path = `/api/v1/conversations/${systemIds()}/messages/${systemIds()}/rating`;
    const rate = async (credential: string): Promise<unknown> =>
      (await ask(here, "POST", path, { token: credential, body: { rating: "up" } })).body["code"];
    expect(await rate(String(made.body["key"]))).toBe("forbidden");
    expect(await rate(token)).toBe("not_found");
    // Of a person the role counts, and the least may rate what they may read.
    expect(await rate(await running.token("vi", "acme", 600, "viewer"))).toBe("not_found");
  });

  test("I10: a socket is not renewed by a token with another role", async () => {
    const role = (name: "admin" | "member") => running.token("rik", "acme", 3_600, name);
    const socket = openForeign(here.url, await role("admin"));
    await socket.next("ready");
    socket.send({ type: "auth", token: await role("member") });
    expect(await socket.next("error")).toMatchObject({ code: "unauthenticated" });
    socket.send({ type: "auth", token: await role("admin") });
    await socket.next("authenticated");
    socket.end();
  });

  test("I10: inventing credentials costs their address, and keeps no good one out", async () => {
    const at = await running.another({
      rates: { ...default_rates, refused: 20 },
      trustedProxies: ["127.0.0.1"],
    });
    await register(here, "lou@example.org");
    const token = (await signIn(here, "lou@example.org")).accessToken;
    const newKey = async (name: string) => {
      const made = await ask(here, "POST", "/api/v1/api-keys", {
        ...{ token, body: { name, scopes: ["read"] } },
      });
      return { id: String(made.body["id"]), key: String(made.body["key"]) };
    };
    const [used, unused, other] = await Promise.all(["used", "unused", "other"].map(newKey));
    const headersOf = (credential: string | undefined, from: string): Record<string, string> => ({
      ...(credential === undefined ? {} : { authorization: `Bearer ${credential}` }),
      "x-forwarded-for": from,
    });
    const read = async (credential: string | undefined, from = "203.0.113.1") => {
      const response = await fetch(`${at.url}${profile}`, { headers: headersOf(credential, from) });
      const { code = null } = (await response.json()) as { code?: string }; // as every answer
      return { status: response.status, code, retry: response.headers.get("retry-after") };
    };
    const invented = (): string => `${(unused?.key ?? "").slice(0, -43)}${"x".repeat(43)}`;
    expect((await read(used?.key)).status).toBe(200);
    for (let n = 0; n < 20; n++) expect((await read(invented())).status).toBe(401);
    for (const credential of [invented(), "no.token.atall", undefined]) {
      const refused = await read(credential);
      expect(refused).toMatchObject({ status: 429, code: "rate_limited" });
      expect(Number(refused.retry)).toBeGreaterThan(0);
    }
    const status = new Promise((resolve) => {
      const options = { headers: headersOf(invented(), "203.0.113.1") };
      const socket = new WebSocket(`${at.url.replace("http", "ws")}/ws/chat`, options);
      socket.on("unexpected-response", (_: unknown, response: { statusCode: number }) => {
        resolve(response.statusCode);
        socket.close();
      });
      socket.on("error", () => undefined);
    });
    expect(await status).toBe(429);
    // Of the same address: a token, one that is only old, and a key that was good before, also when
    // the tenant's keys have changed and it must be looked up again.
    expect((await read(token)).status).toBe(200);
    const { user, tenant } = decodeJwt<{ user: string; tenant: string }>(token);
    expect(await read(await running.token(user, tenant, -1))).toMatchObject({
      ...{ status: 401, code: "token_expired" },
    });
    await ask(here, "DELETE", `/api/v1/api-keys/${other?.id ?? ""}`, { token });
    expect((await read(used?.key)).status).toBe(200);
    // A key that this gateway never saw has to wait there, and comes in from everywhere else.
    expect((await read(unused?.key)).status).toBe(429);
    expect((await read(unused?.key, "203.0.113.2")).status).toBe(200);
    expect((await read(unused?.key)).status).toBe(200);
    const metrics = await (await fetch(`${at.url}/metrics`)).text();
    expect(metrics).toMatch(/colloquy_limited_total\{class="refused",by="ip"\} [1-9]/);
  });

  test("I11: thousands of handshakes that wait for their credential lose no socket", async () => {
    await register(here, "pat@example.org");
    const token = (await signIn(here, "pat@example.org")).accessToken;
    const made = await ask(here, "POST", "/api/v1/api-keys", {
      ...{ token, body: { name: "many", scopes: ["read"] } },
    });
    const key = String(made.body["key"]);
    const wrong = `${key.slice(0, -4)}AAAA`;
    let ready = 0;
    let refused = 0;
    const shake = (credential: string): Promise<void> =>
      new Promise((resolve, reject) => {
        const socket = new WebSocket(`${here.url.replace("http", "ws")}/ws/chat`, {
          headers: { authorization: `Bearer ${credential}` },
        });
        let told = "";
        socket.on("message", (data: Uint8Array) => {
          // What the server writes is what the tests look at.
          const { type } = JSON.parse(Buffer.from(data).toString()) as { type: string };
          told = type;
          if (type === "ready") socket.send('{"type":"ping"}');
          if (type === "pong") socket.close();
        });
        socket.on("close", (code: number) => {
          if (told === "pong") ready += 1;
          else if (told === "error" && code === 4401) refused += 1;
          else return reject(new Error(`closed with ${code} after ${told}`));
          resolve();
        });
        socket.on("error", reject);
      });
    const lane = async (first: number): Promise<void> => {
      for (let at = first; at < 2_000; at += 50) await shake(at % 2 === 0 ? key : wrong);
    };
    await Promise.all(Array.from({ length: 50 }, (_, first) => lane(first)));
    expect({ ready, refused }).toEqual({ ready: 1_000, refused: 1_000 });

    // `Connection: close` is what the native server minds when a socket is upgraded too late.
    const fresh = await running.another();
    const raw = (): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(fresh.port, "127.0.0.1");
        let told = "";
        socket.on("data", (data) => {
          told += data.toString("latin1");
          if (!told.includes('"ready"')) return;
          socket.destroy();
          resolve(told.slice(0, 12));
        });
        socket.on("error", reject);
        socket.on("close", () => reject(new Error(`closed after ${told}`)));
        socket.write(
          [
            ...["GET /ws/chat HTTP/1.1", "Host: x", "Connection: close", "Upgrade: websocket"],
            ...["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"],
            ...[`Authorization: Bearer ${key}`, "", ""],
          ].join("\r\n"),
        );
      });
    const told = await Promise.all(Array.from({ length: 50 }, raw));
    expect(new Set(told)).toEqual(new Set(["HTTP/1.1 101"]));
  });
});

test("I10: a gateway shows its public keys, and takes the tokens of the issuers that it was given", async () => {
  const pair = generateKeyPairSync("ed25519");
  const issuing = openKeyRing({ secrets: [], signing: pair.privateKey });
  const keys = createServer((_, response) =>
    response.end(JSON.stringify({ keys: issuing.public })),
  );
  keys.listen(0, "127.0.0.1");
  await once(keys, "listening");
  const address = keys.address();
  const port = typeof address === "object" ? address?.port : 0;
  const iss = `http://127.0.0.1:${port}`;
  const own = openKeyRing({
    ...{ secrets: [secret], signing: generateKeyPairSync("ed25519").privateKey },
  });
  const issuers = readIssuers([
    { issuer: iss, audience: "us", jwks: `${iss}/keys`, tenant: "acme", algorithms: ["EdDSA"] },
  ]);
  const at = await running.another({ ring: own, issuers });
  const shown = await ask(at, "GET", "/.well-known/jwks.json");
  expect(shown).toEqual({ status: 200, body: { keys: own.public } });
  expect((await ask(here, "GET", "/.well-known/jwks.json")).body).toEqual({ keys: [] });
  const exp = Math.floor(Date.now() / 1000) + 600;
  const theirs = issuing.sign({ iss, aud: "us", sub: "ann", exp, role: "owner", tenant: "zeta" });
  const socket = openForeign(at.url, theirs);
  expect(await socket.next("ready")).toMatchObject({ user: "ann", tenant: "acme" });
  const who = await ask(at, "GET", profile, { token: theirs });
  expect(who.body).toMatchObject({ id: "ann", tenant: "acme", role: "member", email: null });
  const elsewhere = issuing.sign({ iss, aud: "them", sub: "ann", exp });
  expect((await openForeign(at.url, elsewhere).closed).code).toBe(4401);
  expect((await ask(at, "GET", profile, { token: elsewhere })).status).toBe(401);
  // Where nobody named this issuer, its token is nothing.
  expect((await ask(here, "GET", profile, { token: theirs })).status).toBe(401);
  socket.end();
  keys.close();
});

test("nothing was reported as a fault", () => {
  expect(running.problems).toEqual([]);
});
