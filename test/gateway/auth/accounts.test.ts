/** From registering to logging out, over real HTTP and WebSocket, at two gateways of one system. */
import { decodeJwt } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import type { Gateway } from "../../../gateway/server.ts";
import { systemIds } from "../../../schemas/ids.ts";
import { permissionNames } from "../../../schemas/permissions.ts";
import { openChatStream } from "../chat-stream.ts";
import { openForeign } from "../foreign.ts";
import type { Running } from "../running.ts";
import { openSse } from "../sse-client.ts";
import { ask, login, pairOf, password, profile, register, signIn } from "./door.ts";
import { startInstallation } from "./installation.ts";

let running: Running;
let here: Gateway;
let there: Gateway;
beforeAll(async () => {
  ({ running, here, there } = await startInstallation());
  return () => running.stop();
});

describe("accounts", () => {
  test("register, login, socket, refresh, reuse, logout", async () => {
    const made = await register(here, " Bob@Example.ORG ");
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ role: "owner", tenant: expect.stringMatching(/^u-/) });
    expect(await register(there, "bob@example.org")).toMatchObject({
      ...{ status: 409, body: { code: "email_taken" } },
    });
    // At the other gateway, right after.
    const pair = await signIn(there, "bob@example.org");
    const who = await ask(here, "GET", profile, { token: pair.accessToken });
    expect(who.body).toEqual({
      ...{ id: made.body["user"], email: "bob@example.org", name: "Ann" },
      ...{ tenant: made.body["tenant"], role: "owner", tenants: [made.body["tenant"]] },
      permissions: permissionNames,
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
      signIn(here, "cleo@example.org"),
      signIn(here, "cleo@example.org"),
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

  test("I10: a logout ends what is being read in the middle of an answer, on every gateway", async () => {
    await register(here, "oda@example.org");
    const [mine, kept] = [
      await signIn(here, "oda@example.org"),
      await signIn(here, "oda@example.org"),
    ];
    const { provider } = running.world;
    provider.script({ tokens: ["said ", "and done"], gate: true });
    const id = systemIds();
    const path = `/api/v1/conversations/${id}/messages`;
    const read = (at: Gateway, token: string, init: RequestInit = {}) =>
      openSse(`${at.url}${path}`, {
        ...{ method: init.method ?? "GET", body: init.body ?? null },
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      });
    const text = JSON.stringify({ text: "Say it." });
    const asked = await read(here, kept.accessToken, { method: "POST", body: text });
    provider.release(1);
    const streams = await Promise.all([here, there].map((at) => read(at, mine.accessToken)));
    const sockets = [here, there].map((at) =>
      openChatStream(at.url, `/chat/stream/${id}`, mine.accessToken),
    );
    const begun = (frames: readonly object[]): boolean => JSON.stringify(frames).includes("said ");
    await Promise.all([
      ...[asked, ...streams].map((one) => one.until(begun)),
      ...sockets.map((one) => one.until(() => begun(one.frames))),
    ]);
    await ask(here, "POST", "/api/v1/auth/logout", { token: mine.accessToken });
    for (const stream of streams) {
      await stream.ended;
      expect(stream.messages.at(-1)).toMatchObject({
        ...{ event: "error", data: { code: "unauthenticated" } },
      });
    }
    expect(await Promise.all(sockets.map((one) => one.closed))).toEqual([4401, 4401]);
    provider.release(1);
    await asked.ended;
    expect(asked.messages.at(-1)).toMatchObject({ event: "end", data: { finish: "stop" } });
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

  test("I10: whoever only guesses a key of a registration joins nobody to anything", async () => {
    await register(here, "max@example.org");
    const token = (await signIn(here, "max@example.org")).accessToken;
    const path = "/api/v1/workspace/invitations";
    const invited = await ask(here, "POST", path, { token, body: {} });
    const send = async (more: object): Promise<unknown[]> => {
      const body = { email: "nan@example.org", password, name: "Nan", ...more };
      const answer = await fetch(`${here.url}/api/v1/auth/register`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": "1" },
        body: JSON.stringify(body),
      });
      const { code, tenant } = (await answer.json()) as Record<string, unknown>; // as every answer
      return [answer.status, code ?? tenant];
    };
    const first = await send({});
    expect([first[0], await send({})]).toEqual([201, first]);
    const taken = [409, "email_taken"];
    expect(await send({ password: "a guess of mine" })).toEqual(taken);
    const invitation = String(invited.body["token"]);
    expect(await send({ password: "a guess of mine", invitation })).toEqual(taken);
    const members = await ask(here, "GET", "/api/v1/workspace/members", { token });
    expect(members.body["items"]).toHaveLength(1);
  });

  test("one address, many at once: one account", async () => {
    const all = await Promise.all(
      [here, there, here, there].map((at) => register(at, "race@example.org")),
    );
    expect(all.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409, 409]);
  });

  test("profile, settings, password, sessions", async () => {
    await register(here, "eve@example.org");
    const [first, second] = [
      await signIn(here, "eve@example.org"),
      await signIn(here, "eve@example.org"),
    ];
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
    // I10: another's session is none of hers, here either.
    const sid = String(decodeJwt((await signIn(here, "bob@example.org")).accessToken)["sid"]);
    const [ending, other] = [
      `/api/v1/users/sessions/${sid}`,
      await signIn(here, "bob@example.org"),
    ];
    expect((await ask(here, "DELETE", ending, { token })).status).toBe(404);
    const ended = await ask(here, "DELETE", ending, { token: other.accessToken });
    expect(ended.status).toBe(204);
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

test("nothing was reported as a fault", () => {
  expect(running.problems).toEqual([]);
});
