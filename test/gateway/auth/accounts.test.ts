/** From registering to logging out, over real HTTP and WebSocket, at two gateways of one system. */
import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { beforeAll, describe, expect, test } from "vitest";
import { WebSocket } from "ws"; // typed by ws-client.d.ts
import { decodeJwt } from "jose";
import { openKeyRing } from "../../../gateway/auth/key-ring.ts";
import type { Gateway } from "../../../gateway/server.ts";
import { readIssuers } from "../../../schemas/issuers.ts";
import { secret } from "../../streams/system.ts";
import { openForeign } from "../foreign.ts";
import { type Running, startRunning } from "../running.ts";
import { ask, login, pairOf, password, register } from "./door.ts";

let running: Running;
let here: Gateway;
let there: Gateway;
beforeAll(async () => {
  running = await startRunning();
  here = running.gateway;
  there = await running.another();
  // The first account owns the installation's tenant; the tests that follow are about later ones.
  const first = await register(here, "first@example.org");
  expect(first).toMatchObject({ status: 201, body: { tenant: "main", role: "owner" } });
  return () => running.stop();
}, 60_000);

const profile = "/api/v1/users/profile";

/** A member of the workspace that `owner` has, with this role. */
async function member(owner: string, email: string, role: string): Promise<string> {
  const invited = await ask(here, "POST", "/api/v1/workspace/invitations", {
    ...{ token: owner, body: { role } },
  });
  expect(invited.status).toBe(201);
  const invitation = String(invited.body["token"]);
  const joined = await register(here, email, { invitation });
  expect(joined).toMatchObject({ status: 201, body: { role } });
  return String(joined.body["user"]);
}
const signIn = async (email: string, at = here) => pairOf(await login(at, email));

describe("accounts", () => {
  test("register, login, socket, refresh, reuse, logout", async () => {
    const made = await register(here, " Bob@Example.ORG ");
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ role: "owner", tenant: expect.stringMatching(/^u-/) });
    expect(await register(there, "bob@example.org")).toMatchObject({
      ...{ status: 409, body: { code: "email_taken" } },
    });
    // At the other gateway, right after.
    const pair = await signIn("bob@example.org", there);
    const who = await ask(here, "GET", profile, { token: pair.accessToken });
    expect(who.body).toEqual({
      ...{ id: made.body["user"], email: "bob@example.org", name: "Ann" },
      ...{ tenant: made.body["tenant"], role: "owner", tenants: [made.body["tenant"]] },
    });
    const [one, other] = [here, there].map((at) => openForeign(at.url, pair.accessToken));
    await Promise.all([one?.next("ready"), other?.next("ready")]);

    const refreshed = await ask(here, "POST", "/api/v1/auth/refresh", {
      body: { refreshToken: pair.refreshToken },
    });
    expect(refreshed.status).toBe(200);
    // The retry of a refresh whose answer was lost is the same answer.
    const retried = await ask(there, "POST", "/api/v1/auth/refresh", {
      body: { refreshToken: pair.refreshToken },
    });
    expect(retried.body["refreshToken"]).toBe(refreshed.body["refreshToken"]);
    const again = await ask(there, "POST", "/api/v1/auth/refresh", {
      body: { refreshToken: pairOf(refreshed).refreshToken },
    });
    expect(again.status).toBe(200);
    const reused = await ask(here, "POST", "/api/v1/auth/refresh", {
      body: { refreshToken: pair.refreshToken },
    });
    expect(reused).toMatchObject({ status: 401, body: { code: "refresh_reused" } });
    // Reuse ended the session: its sockets too, at both gateways.
    expect((await one?.closed)?.code).toBe(4401);
    expect((await other?.closed)?.code).toBe(4401);
    const next = await ask(here, "POST", "/api/v1/auth/refresh", {
      body: { refreshToken: pairOf(again).refreshToken },
    });
    expect(next.status).toBe(401);
  });

  test("I10: a logout ends its sockets and its token at every gateway, and one that starts later", async () => {
    await register(here, "cleo@example.org");
    const [mine, kept] = await Promise.all([
      signIn("cleo@example.org"),
      signIn("cleo@example.org"),
    ]);
    const sockets = [here, there].map((at) => openForeign(at.url, mine.accessToken));
    const staying = openForeign(there.url, kept.accessToken);
    await Promise.all([...sockets, staying].map((one) => one.next("ready")));
    const out = await ask(here, "POST", "/api/v1/auth/logout", { token: mine.accessToken });
    expect(out.status).toBe(204);
    expect((await ask(here, "GET", profile, { token: mine.accessToken })).status).toBe(401);
    const ends = await Promise.all(sockets.map((one) => one.closed));
    expect(ends.map(({ code }) => code)).toEqual([4401, 4401]);
    expect((await ask(there, "GET", profile, { token: mine.accessToken })).status).toBe(401);
    const late = await running.another();
    expect((await ask(late, "GET", profile, { token: mine.accessToken })).status).toBe(401);
    expect((await ask(late, "GET", profile, { token: kept.accessToken })).status).toBe(200);
    expect((await staying.ask({ type: "watch" })).type).toBe("watched");
    staying.end();
  });

  test("an unknown address, a wrong password and a hostile one are told the same", async () => {
    await register(here, "dora@example.org");
    const tries = [
      await login(here, "nobody@example.org"),
      await login(here, "dora@example.org", { password: "wrong password" }),
      await login(here, "no address at all"),
    ];
    for (const { status, body } of tries) {
      expect([status, body["code"]]).toEqual([401, "bad_credentials"]);
    }
    expect((await login(here, "dora@example.org", { password: "x".repeat(100_000) })).status).toBe(
      400,
    );
    expect((await register(here, "short@example.org", { password: "short" })).status).toBe(400);
    expect((await register(here, "nobody")).status).toBe(400);
    const forged = `crt_${crypto.randomUUID()}.${crypto.randomUUID()}.${"A".repeat(43)}`;
    for (const refreshToken of ["", "x", forged]) {
      const answer = await ask(here, "POST", "/api/v1/auth/refresh", { body: { refreshToken } });
      expect([400, 401]).toContain(answer.status);
    }
  });

  test("one address, many at once: one account", async () => {
    const all = await Promise.all(
      [here, there, here, there].map((at) => register(at, "race@example.org")),
    );
    expect(all.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409]);
  });

  test("profile, settings, password, sessions", async () => {
    await register(here, "eve@example.org");
    const [first, second] = [await signIn("eve@example.org"), await signIn("eve@example.org")];
    const token = first.accessToken;
    const named = await ask(here, "PUT", profile, { token, body: { name: "Eve" } });
    expect(named.body).toMatchObject({ name: "Eve" });
    const settings = { theme: "dark", nested: { list: [1, 2] } };
    await ask(here, "PUT", "/api/v1/users/settings", { token, body: settings });
    expect((await ask(there, "GET", "/api/v1/users/settings", { token })).body).toEqual(settings);
    const large = { text: "x".repeat(17_000) };
    const refused = await ask(here, "PUT", "/api/v1/users/settings", { token, body: large });
    expect(refused.status).toBe(413);
    const listed = await ask(here, "GET", "/api/v1/users/sessions", { token });
    expect(listed.body["items"]).toMatchObject([{ current: false }, { current: true }]);
    const change = (currentPassword: string) =>
      ask(here, "POST", "/api/v1/users/password", {
        ...{ token, body: { currentPassword, newPassword: "a new password" } },
      });
    expect((await change("not this one")).status).toBe(401);
    expect((await change(password)).status).toBe(204);
    // Every other session has ended, this one goes on.
    expect((await ask(here, "GET", profile, { token: second.accessToken })).status).toBe(401);
    expect((await ask(here, "GET", profile, { token })).status).toBe(200);
    expect((await login(here, "eve@example.org")).status).toBe(401);
    expect((await login(here, "eve@example.org", { password: "a new password" })).status).toBe(200);
  });
});

describe("workspaces", () => {
  test("I10: roles hold at once, on every gateway: changed, removed, the last owner", async () => {
    await register(here, "own@example.org");
    const owner = (await signIn("own@example.org")).accessToken;
    const fay = await member(owner, "fay@example.org", "admin");
    const pair = await signIn("fay@example.org");
    const socket = openForeign(there.url, pair.accessToken);
    await socket.next("ready");
    const members = "/api/v1/workspace/members";
    const list = await ask(here, "GET", members, { token: owner });
    expect(list.body["items"]).toHaveLength(2);
    const own = String(decodeJwt(owner).sub);
    const token = pair.accessToken;
    // An admin makes no owner and touches none.
    const tries = await Promise.all([
      ask(here, "PATCH", `${members}/${fay}`, { token, body: { role: "owner" } }),
      ask(here, "PATCH", `${members}/${own}`, { token, body: { role: "member" } }),
      ask(here, "DELETE", `${members}/${own}`, { token }),
    ]);
    expect(tries.map(({ status }) => status)).toEqual([403, 403, 403]);
    const last = await ask(here, "DELETE", `${members}/${own}`, { token: owner });
    expect(last).toMatchObject({ status: 409, body: { code: "last_owner" } });

    const changed = await ask(here, "PATCH", `${members}/${fay}`, {
      ...{ token: owner, body: { role: "viewer" } },
    });
    expect(changed.body).toMatchObject({ user: fay, role: "viewer", email: "fay@example.org" });
    expect((await socket.closed).code).toBe(4401);
    for (const at of [here, there]) {
      const refused = await ask(at, "GET", profile, { token });
      expect(refused).toMatchObject({ status: 401, body: { code: "token_expired" } });
    }
    const refreshed = pairOf(
      await ask(there, "POST", "/api/v1/auth/refresh", {
        body: { refreshToken: pair.refreshToken },
      }),
    );
    const viewer = refreshed.accessToken;
    expect((await ask(there, "GET", profile, { token: viewer })).body["role"]).toBe("viewer");
    const posted = await ask(there, "POST", "/api/v1/conversations", { token: viewer, body: {} });
    expect(posted.status).toBe(403);

    const gone = await ask(here, "DELETE", `${members}/${fay}`, { token: owner });
    expect(gone.status).toBe(204);
    expect((await ask(here, "GET", profile, { token: viewer })).status).toBe(401);
    const after = await ask(here, "POST", "/api/v1/auth/refresh", {
      body: { refreshToken: refreshed.refreshToken },
    });
    expect(after.status).toBe(401);
  });

  test("invitations: once, for whom they are, until they are taken back", async () => {
    await register(here, "gus@example.org");
    const token = (await signIn("gus@example.org")).accessToken;
    const path = "/api/v1/workspace/invitations";
    const body = { email: "hal@example.org", role: "member" };
    const made = await ask(here, "POST", path, { token, body });
    const invitation = String(made.body["token"]);
    const other = await register(here, "ida@example.org", { invitation });
    expect(other).toMatchObject({ status: 404, body: { code: "invitation_invalid" } });
    const joined = await register(here, "hal@example.org", { invitation });
    expect(joined).toMatchObject({ status: 201, body: { role: "member" } });
    const second = await ask(here, "POST", path, { token, body: {} });
    await ask(here, "DELETE", `${path}/${String(second.body["id"])}`, { token });
    const late = await register(here, "jay@example.org", {
      invitation: String(second.body["token"]),
    });
    expect(late.status).toBe(404);
    expect((await ask(here, "GET", path, { token })).body["items"]).toEqual([]);
    // Whoever has an account joins with it, and chooses where to sign in.
    const third = await ask(here, "POST", path, { token, body: {} });
    await register(here, "kim@example.org");
    const tenant = String(joined.body["tenant"]);
    const both = await login(here, "kim@example.org", {
      ...{ tenant, invitation: String(third.body["token"]) },
    });
    const kim = await ask(here, "GET", profile, { token: pairOf(both).accessToken });
    expect(kim.body).toMatchObject({ tenant, role: "member" });
    expect(kim.body["tenants"]).toHaveLength(2);
    const never = await login(here, "kim@example.org", { tenant: "main" });
    expect(never.status).toBe(403);
  });

  test("I10: of another tenant nothing can be named", async () => {
    await register(here, "lou@example.org");
    await register(here, "max@example.org");
    const lou = (await signIn("lou@example.org")).accessToken;
    const max = (await signIn("max@example.org")).accessToken;
    const made = await ask(here, "POST", "/api/v1/api-keys", {
      ...{ token: lou, body: { name: "k", scopes: ["read"] } },
    });
    const id = String(made.body["id"]);
    const user = String(decodeJwt(lou).sub);
    const invited = await ask(here, "POST", "/api/v1/workspace/invitations", {
      ...{ token: lou, body: {} },
    });
    const tries = await Promise.all([
      ask(here, "DELETE", `/api/v1/api-keys/${id}`, { token: max }),
      ask(here, "PATCH", `/api/v1/workspace/members/${user}`, {
        ...{ token: max, body: { role: "viewer" } },
      }),
      ask(here, "DELETE", `/api/v1/workspace/members/${user}`, { token: max }),
      ask(here, "DELETE", `/api/v1/workspace/invitations/${String(invited.body["id"])}`, {
        token: max,
      }),
      ask(here, "DELETE", `/api/v1/users/sessions/${String(decodeJwt(lou)["sid"])}`, {
        token: max,
      }),
    ]);
    expect(tries.map(({ status }) => status)).toEqual([404, 404, 404, 404, 404]);
    expect((await ask(here, "GET", profile, { token: lou })).status).toBe(200);
    // A key of one tenant with the name of another is no key at all.
    const key = String(made.body["key"]);
    const moved = key.replace(/^clq_[^.]+/, `clq_${String(decodeJwt(max)["tenant"])}`);
    expect((await ask(here, "GET", profile, { token: moved })).status).toBe(401);
  });
});

describe("API keys", () => {
  test("I10: shown once, limited to their scopes, revoked at once with their sockets", async () => {
    await register(here, "ned@example.org");
    const token = (await signIn("ned@example.org")).accessToken;
    const made = await ask(here, "POST", "/api/v1/api-keys", {
      ...{ token, body: { name: "program", scopes: ["read"] } },
    });
    expect(made.status).toBe(201);
    const key = String(made.body["key"]);
    const listed = await ask(here, "GET", "/api/v1/api-keys", { token });
    expect(JSON.stringify(listed.body)).not.toContain(key.slice(-43));
    expect((await ask(there, "GET", "/api/v1/conversations", { token: key })).status).toBe(200);
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

  test("I11: thousands of handshakes that wait for their credential lose no socket", async () => {
    await register(here, "pat@example.org");
    const token = (await signIn("pat@example.org")).accessToken;
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
  }, 60_000);
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
