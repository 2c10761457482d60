/** Who asks too often is told when to come again; nobody else notices (I10). */
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { MemoryLimiter } from "../../cache/memory-limiter.ts";
import { openSharedLimiter } from "../../cache/shared-limiter.ts";
import type { Gateway } from "../../gateway/server.ts";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { default_rates, type Rates } from "../../schemas/rates.ts";
import { redisBinary, startRedis } from "../support/services.ts";
import { ask, register, signIn } from "./auth/door.ts";
import { openForeign } from "./foreign.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
beforeAll(async () => {
  running = await startRunning();
  return () => running.stop();
});
const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** The clock of the limits stands still: no minute is over before a loaded machine has asked. */
const now_ms = Date.now();
const limited = (rates: Partial<Rates> = {}, trustedProxies: readonly string[] = []) =>
  running.another({
    ...{ rates: { ...default_rates, ...rates }, trustedProxies },
    limiter: new MemoryLimiter(() => now_ms),
  });
const asked = async (
  at: Gateway,
  path: string,
  options: { user?: string; tenant?: string; method?: string; from?: string } = {},
): Promise<Response> => {
  const { user = "ann", tenant = "acme", method = "POST", from } = options;
  const response = await fetch(`${at.url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await running.token(user, tenant)}`,
      ...(from === undefined ? {} : { "x-forwarded-for": from }),
    },
  });
  if (response.status !== 429) await response.text();
  return response;
};
const command = "/api/v1/conversations";
/** A command that is answered without a worker: its conversation is not there. */
const cheap = `/api/v1/conversations/${systemIds()}/messages/${systemIds()}/regenerate`;
const statuses = (responses: readonly Response[]): number[] =>
  responses.map(({ status }) => status).filter((status) => status === 429);

describe("HTTP", () => {
  test("command 101 in 60 s is refused, with Retry-After and what the limits are", async () => {
    const at = await limited();
    const first = await asked(at, command);
    expect(first.status).toBe(201);
    expect(first.headers.get("ratelimit-policy")).toBe('"user";q=100;w=60');
    expect(first.headers.get("ratelimit")).toBe('"user";r=99;t=60');
    for (let n = 2; n <= 100; n++) expect((await asked(at, cheap)).status).not.toBe(429);
    const refused = await asked(at, cheap);
    expect(refused.status).toBe(429);
    expect(refused.headers.get("content-type")).toBe("application/problem+json");
    expect(await refused.json()).toMatchObject({ code: "rate_limited", status: 429 });
    const wait = Number(refused.headers.get("retry-after"));
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(60);
    expect(refused.headers.get("ratelimit")).toBe(`"user";r=0;t=${wait}`);
    // Reads, cancels, other users and other tenants go on.
    const read = await asked(at, command, { method: "GET" });
    expect(read.status).toBe(200);
    expect(read.headers.get("ratelimit")).toBeNull();
    const cancel = `${command}/${systemIds()}/cancel`;
    expect((await asked(at, cancel)).status).not.toBe(429);
    expect((await asked(at, cheap, { user: "bob" })).status).not.toBe(429);
    expect((await asked(at, cheap, { tenant: "other" })).status).not.toBe(429);
    const metrics = await (await fetch(`${at.url}/metrics`)).text();
    expect(metrics).toContain('colloquy_limited_total{class="command",by="user"} 1\n');
    expect(metrics).toContain("colloquy_limits_shared 0\n");
  });

  test("an API key is counted in the place of its user", async () => {
    const at = await limited({ commands: 3 });
    await register(at, "key@example.org");
    const { accessToken: token } = await signIn(at, "key@example.org");
    const body = { name: "program", scopes: ["read", "write"] };
    const made = await ask(at, "POST", "/api/v1/api-keys", { token, body });
    const send = (credential: string): Promise<Response> =>
      fetch(`${at.url}${cheap}`, {
        method: "POST",
        headers: { authorization: `Bearer ${credential}` },
      });
    const key = String(made.body["key"]);
    const answers = [await send(key), await send(key), await send(key), await send(key)];
    expect(answers.map(({ status }) => status === 429)).toEqual([false, false, false, true]);
    expect(answers[3]?.headers.get("ratelimit-policy")).toBe('"key";q=3;w=60');
    // Its user has used one, for the key itself.
    expect((await send(token)).headers.get("ratelimit")).toBe('"user";r=1;t=60');
  });

  test("an IP address has ten times a user's, and only a trusted proxy says which it is", async () => {
    const at = await limited({ commands: 2 }, ["127.0.0.1"]);
    const from = "203.0.113.9";
    const people = Array.from({ length: 11 }, (_, n) => `user${n}`);
    for (const user of people.slice(0, 10)) {
      for (let n = 0; n < 2; n++) {
        expect((await asked(at, cheap, { user, from })).status).not.toBe(429);
      }
    }
    const refused = await asked(at, cheap, { user: "user10", from });
    expect(refused.status).toBe(429);
    expect(refused.headers.get("ratelimit-policy")).toBe('"user";q=2;w=60, "ip";q=20;w=60');
    // What stands left of the proxy's own word is the client's invention.
    expect((await asked(at, cheap, { user: "u11", from: `1.1.1.1, ${from}` })).status).toBe(429);
    expect((await asked(at, cheap, { user: "u12", from: `${from}, 1.1.1.1` })).status).not.toBe(
      429,
    );
    const open = await limited({ commands: 1 });
    for (let n = 0; n < 10; n++) {
      const status = (await asked(open, cheap, { user: `u${n}`, from: `9.9.9.${n}` })).status;
      expect(status).not.toBe(429);
    }
    expect((await asked(open, cheap, { user: "u11", from: "9.9.9.99" })).status).toBe(429);
  });

  test("I10: a tenant has a limit of its own, and another does not feel it", async () => {
    const at = await limited({ tenantCommands: 5 });
    const crowd = Array.from({ length: 8 }, (_, n) => asked(at, cheap, { user: `crowd${n}` }));
    expect(statuses(await Promise.all(crowd))).toHaveLength(3);
    expect((await asked(at, cheap, { tenant: "other" })).status).not.toBe(429);
    // Whichever way they come: its sockets share it.
    const client = await running.connect({ at, user: "crowd9" });
    const edit = { type: "edit", conversation: systemIds(), message: systemIds(), text: "a" };
    expect(await client.ask(edit)).toMatchObject({ error: { code: "rate_limited" } });
  });

  test("passwords are not guessed: an address has a few tries at an account, all of them ten times that", async () => {
    const at = await limited({ signIns: 20 }, ["127.0.0.1"]);
    const login = async (email: string, from = "203.0.113.1"): Promise<number> => {
      const response = await fetch(`${at.url}/api/v1/auth/login`, {
        method: "POST",
        headers: { "content-type": "application/json", "x-forwarded-for": from },
        body: JSON.stringify({ email, password: "guess-guess" }),
      });
      await response.arrayBuffer();
      return response.status;
    };
    // A tenth of what its address may do, and it need not be there.
    expect(await login("ann@example.com")).toBe(401);
    expect(await login("ann@example.com")).toBe(401);
    for (let n = 0; n < 3; n++) expect(await login("Ann@Example.com")).toBe(429);
    expect(await login("bob@example.com")).toBe(401);
    // Who guesses does not keep its owner out, who comes from elsewhere; until guesses come from
    // everywhere. What was refused is not counted.
    const elsewhere: number[] = [];
    for (let n = 2; n <= 11; n++) {
      elsewhere.push(await login("ann@example.com", `203.0.113.${n}`));
      elsewhere.push(await login("ann@example.com", `203.0.113.${n}`));
    }
    expect(elsewhere).toEqual([...Array.from({ length: 18 }, () => 401), 429, 429]);
    const more = await Promise.all(
      Array.from({ length: 20 }, (_, n) => login(`u${n}@example.com`)),
    );
    expect(more.filter((status) => status === 429).length).toBeGreaterThanOrEqual(3);
    expect((await asked(at, command, { method: "GET" })).status).toBe(200);
  });

  test("nor by whoever has stolen a token: changing the password is a try at the account, too", async () => {
    const at = await limited({ signIns: 20 });
    const guess = { currentPassword: "guess-guess", newPassword: "mine from now on" };
    await register(at, "cy@example.org");
    const { accessToken: token } = await signIn(at, "cy@example.org");
    const change = () => ask(at, "POST", "/api/v1/users/password", { token, body: guess });
    expect(await change()).toMatchObject({ status: 401, body: { code: "bad_credentials" } });
    expect(await change()).toMatchObject({ status: 429, body: { code: "rate_limited" } });
  });

  test("reads have no limit unless one is set", async () => {
    const at = await limited({ reads: 3 });
    const reads = [1, 2, 3, 4].map(() => asked(at, command, { method: "GET" }));
    expect(statuses(await Promise.all(reads))).toHaveLength(1);
  });
});

describe("WebSocket", () => {
  test("a command too many is a nack with retryAfter, and the socket stays", async () => {
    const at = await limited({ wsCommands: 3 });
    const client = await running.connect({ at });
    const conversation = systemIds();
    const edit = { type: "edit", conversation, message: systemIds(), text: "a" };
    for (let n = 0; n < 3; n++) {
      expect(await client.ask(edit)).toMatchObject({ type: "nack" });
    }
    const refused = await client.ask(edit);
    expect(refused).toMatchObject({ type: "nack", error: { code: "rate_limited" } });
    if (refused.type !== "nack") throw new Error("a nack");
    expect(refused.error.retryAfter).toBeGreaterThan(50);
    expect(refused.error.retryAfter).toBeLessThanOrEqual(60);
    const cancelled = await client.ask({ type: "cancel", conversation });
    expect(cancelled).not.toMatchObject({ error: { code: "rate_limited" } });
    expect(await client.ask({ type: "watch" })).toMatchObject({ type: "watched" });
    // Another socket of this user shares its limit; HTTP has its own.
    const second = await running.connect({ at });
    expect(await second.ask(edit)).toMatchObject({ error: { code: "rate_limited" } });
    expect((await asked(at, cheap)).status).not.toBe(429);
    client.send({ type: "ping" });
    await client.next("pong");
  });

  test("an IP address has ten times a user's commands here, too", async () => {
    const at = await limited({ wsCommands: 1 });
    const edit = { type: "edit", conversation: systemIds(), message: systemIds(), text: "a" };
    const codes: unknown[] = [];
    for (let n = 0; n < 12; n++) {
      const answer = await (await running.connect({ at, user: `crowd${n}` })).ask(edit);
      codes.push(answer.type === "nack" && answer.error.code === "rate_limited");
    }
    expect(codes).toEqual([...Array.from({ length: 10 }, () => false), true, true]);
  });

  test("600 commands in 60 s pass, and far more subscriptions", async () => {
    const at = await limited();
    const client = await running.connect({ at });
    const edit = { type: "edit", conversation: systemIds(), message: systemIds(), text: "a" };
    const answers = [];
    for (let round = 0; round < 7; round++) {
      answers.push(...(await Promise.all(Array.from({ length: 100 }, () => client.ask(edit)))));
    }
    const codes = answers.map((one) => (one.type === "nack" ? one.error.code : one.type));
    expect(codes.indexOf("rate_limited")).toBe(600);
    const subscribe = { type: "subscribe", conversation: systemIds() };
    for (let n = 0; n < 700; n++) client.send({ ...subscribe, id: systemIds() });
    const last = await client.ask(subscribe);
    expect(last).toMatchObject({ error: { code: "not_found" } });
  });

  test("I11: connections of a user and handshakes of an address are bounded", async () => {
    const at = await limited({ connectionsPerUser: 3, handshakes: 100 });
    const three = await Promise.all([1, 2, 3].map(() => running.connect({ at })));
    const fourth = openForeign(at.url, await running.token());
    expect(await fourth.closed).toEqual({ code: 1013, reason: "too_many_connections" });
    await running.connect({ at, user: "bob" });
    three[0]?.end();
    await three[0]?.closed;
    let tries = 0;
    const again = async (): Promise<boolean> => {
      tries += 1;
      const one = openForeign(at.url, await running.token());
      ends.push(() => one.end());
      return Promise.race([one.next("ready").then(() => true), one.closed.then(() => false)]);
    };
    // The place is free when the gateway has noticed, too; every try is a handshake.
    await expect.poll(again, { interval: 250 }).toBe(true);
    const left = 100 - 5 - tries;
    const flood = Array.from({ length: left + 10 }, async (_, n) => {
      const one = openForeign(at.url, await running.token(`user${n}`));
      ends.push(() => one.end());
      return Promise.race([one.next("ready").then(() => "in"), one.closed.then(() => "out")]);
    });
    const let_in = (await Promise.all(flood)).filter((one) => one === "in").length;
    expect(let_in).toBe(left);
  });

  test("I11: who floods is closed with 1008; nobody else notices", async () => {
    const at = await limited();
    const client = await running.connect({ at, user: "mallory" });
    const other = await running.connect({ at });
    const ping = JSON.stringify({ type: "ping" });
    for (let n = 0; n < 3_000; n++) client.socket.send(ping);
    expect(await client.closed).toEqual({ code: 1008, reason: "flooding" });
    other.send({ type: "ping" });
    await other.next("pong");
  });
});

describe.skipIf(redisBinary() === null)("with a Redis", () => {
  test("gateways count together, keep the order of frames, and go on when it dies", async () => {
    const redis = await startRedis();
    ends.push(() => redis.stop());
    const warnings: string[] = [];
    const report = ({ what }: { what: string }): void => void warnings.push(what);
    const rates = { ...default_rates, commands: 5, wsCommands: 5 };
    const gateways = await Promise.all(
      [1, 2].map(async () => {
        const limiter = await openSharedLimiter(redis.url, { clock: systemClock, report });
        ends.push(() => limiter.close());
        return { limiter, at: await running.another({ limiter, rates }) };
      }),
    );
    const [one, two] = gateways;
    if (one === undefined || two === undefined) throw new Error("two gateways");
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, n) => asked(n % 2 === 0 ? one.at : two.at, cheap)),
    );
    expect(statuses(all)).toHaveLength(3);
    // What needs no leave does not overtake what waits for it.
    const client = await running.connect({ at: one.at });
    const conversation = systemIds();
    const began = systemIds();
    client.send({ type: "send", id: began, conversation, text: "hello", parent: null });
    client.send({ type: "subscribe", id: systemIds(), conversation });
    client.send({ type: "unsubscribe", id: systemIds(), conversation });
    client.send({ type: "ping" });
    await client.next("pong");
    await client.next("ack");
    await client.next("unsubscribed");
    await redis.kill9();
    await expect.poll(() => one.limiter.shared || two.limiter.shared).toBe(false);
    const alone = await Promise.all(Array.from({ length: 8 }, () => asked(one.at, cheap)));
    expect(statuses(alone)).toHaveLength(3);
    expect(warnings).toHaveLength(2);
    const metrics = await (await fetch(`${one.at.url}/metrics`)).text();
    expect(metrics).toContain("colloquy_limits_shared 0\n");
    expect(metrics).toContain("colloquy_limits_fallbacks_total 1\n");
  });
});
