/** A person deletes the account: what goes, what stays, and what a cut leaves, at gateways of one system. */
import { beforeAll, expect, test } from "vitest";
import { decodeJwt } from "jose";
import type { Gateway } from "../../../gateway/server.ts";
import { AppError } from "../../../schemas/errors.ts";
import { accountRef, type ActorRef } from "../../../schemas/ids.ts";
import { commandPublisher } from "../../../streams/queue/commands.ts";
import { secret } from "../../streams/system.ts";
import { openForeign } from "../foreign.ts";
import type { Running } from "../running.ts";
import { type Answer, ask, login, pairOf, password, profile, register, signIn } from "./door.ts";
import { startInstallation } from "./installation.ts";

let running: Running;
let here: Gateway;
let there: Gateway;
beforeAll(async () => {
  ({ running, here, there } = await startInstallation());
  return () => running.stop();
});

const remove = (at: Gateway, email: string, more: object = {}): Promise<Answer> =>
  ask(at, "POST", "/api/v1/auth/delete", { body: { email, password, ...more } });

const conversations = "/api/v1/conversations";
async function begin(token: string, body: object = {}): Promise<string> {
  const made = await ask(here, "POST", conversations, { token, body });
  expect(made.status).toBe(201);
  return String(made.body["id"]);
}

/** A member of the workspace that `owner` has. */
async function member(owner: string, email: string): Promise<string> {
  const path = "/api/v1/workspace/invitations";
  const { body } = await ask(here, "POST", path, { token: owner, body: {} });
  const joined = await register(here, email, { invitation: String(body["token"]) });
  expect(joined.status).toBe(201);
  return String(joined.body["user"]);
}

const isErased = (ref: ActorRef): Promise<void> =>
  expect.poll(() => running.world.system.vault.erased(ref)).toBe(true);

test("I10: it ends every credential at once, on every gateway, and erases what was theirs", async () => {
  await register(here, "ann@example.org", { name: "Ann Archy" });
  const { accessToken: token, refreshToken } = await signIn(here, "ann@example.org");
  const { sub: user = "", tenant } = decodeJwt<{ tenant: string }>(token);
  const titled = await begin(token, { title: "nobody's business" });
  const archived = await begin(token, { origin: "api" });
  await ask(here, "PATCH", `${conversations}/${archived}`, { token, body: { archived: true } });
  const bob = await member(token, "bob@example.org");
  const shared = await begin(token);
  const shares = `${conversations}/${shared}/shares/${bob}`;
  await ask(here, "PUT", shares, { token, body: { role: "viewer" } });
  const role = { role: "owner" };
  await ask(here, "PATCH", `/api/v1/workspace/members/${bob}`, { token, body: role });
  const theirs = (await signIn(here, "bob@example.org")).accessToken;
  const kept = await begin(theirs);
  const made = await ask(here, "POST", "/api/v1/api-keys", {
    ...{ token, body: { name: "program", scopes: ["read"] } },
  });
  const key = String(made.body["key"]);
  const sockets = [here, there].map((at) => openForeign(at.url, token));
  sockets.push(openForeign(there.url, key));
  await Promise.all(sockets.map((one) => one.next("ready")));

  const wrong = await remove(here, "ann@example.org", { password: "wrong password" });
  expect(wrong).toMatchObject({ status: 401, body: { code: "bad_credentials" } });
  expect((await ask(here, "GET", profile, { token })).status).toBe(200);
  expect((await remove(here, " Ann@Example.org ")).status).toBe(204);

  const ends = await Promise.all(sockets.map((one) => one.closed));
  expect(ends.map(({ code }) => code)).toEqual([4401, 4401, 4401]);
  for (const at of [here, there, await running.another()]) {
    for (const credential of [token, key]) {
      expect((await ask(at, "GET", profile, { token: credential })).status).toBe(401);
    }
    const again = await ask(at, "POST", "/api/v1/auth/refresh", { body: { refreshToken } });
    expect(again.status).toBe(401);
  }
  for (const answer of [
    await login(here, "ann@example.org"),
    await remove(there, "ann@example.org"),
  ]) {
    expect(answer).toMatchObject({ status: 401, body: { code: "bad_credentials" } });
  }
  // Its id stands in what others have: it becomes nobody else's.
  expect(await register(here, "ann@example.org")).toMatchObject({ body: { code: "email_taken" } });

  await isErased(accountRef(user));
  for (const id of [titled, archived, shared]) {
    await isErased({ tenant, kind: "conversation", id });
  }
  const gone = await ask(here, "GET", `${conversations}/${shared}`, { token: theirs });
  expect([404, 410]).toContain(gone.status);
  expect((await ask(here, "GET", `${conversations}/${kept}`, { token: theirs })).status).toBe(200);
  const { body } = await ask(here, "GET", "/api/v1/workspace/members", { token: theirs });
  expect(body["items"]).toMatchObject([{ user: bob, role: "owner" }]);
  expect(JSON.stringify(body)).not.toContain("Archy");
});

test("no workspace is left to members without an owner: nothing is begun", async () => {
  await register(here, "cleo@example.org");
  const token = (await signIn(here, "cleo@example.org")).accessToken;
  const dora = await member(token, "dora@example.org");
  const id = await begin(token);
  const { tenant } = decodeJwt<{ tenant: string }>(token);
  const refused = await remove(here, "cleo@example.org");
  expect(refused).toMatchObject({ status: 409, body: { code: "last_owner" } });
  expect(refused.body["detail"]).toContain(tenant);
  expect((await ask(there, "GET", `${conversations}/${id}`, { token })).status).toBe(200);
  await ask(here, "DELETE", `/api/v1/workspace/members/${dora}`, { token });
  expect((await remove(here, "cleo@example.org")).status).toBe(204);
  // Who belongs nowhere can sign in nowhere, and goes all the same.
  const invited = await running.another({ registration: "invited" });
  expect((await login(invited, "dora@example.org")).status).toBe(403);
  expect((await remove(here, "dora@example.org")).status).toBe(204);
  await isErased(accountRef(dora));
});

test("whoever is overtaken by the same request of another device is told that it is gone", async () => {
  const email = "eve@example.org";
  await register(here, email);
  const own = commandPublisher(running.world.system.streams, secret);
  const overtaken = await running.another({
    publish: {
      async publish(command) {
        if (command.name === "remove-member") {
          expect((await remove(here, email)).status).toBe(204);
        }
        return own.publish(command);
      },
    },
  });
  const answer = await remove(overtaken, email);
  expect(answer).toMatchObject({ status: 404, body: { code: "not_found" } });
});

test.each(["delete", "remove-member", "leave-tenant"])(
  "I1: cut off before %s, the same request finishes it",
  async (name) => {
    const email = `cut-${name}@example.org`;
    await register(here, email);
    const { accessToken: token } = pairOf(await login(here, email));
    const { sub: user = "", tenant } = decodeJwt<{ tenant: string }>(token);
    const id = await begin(token);
    const own = commandPublisher(running.world.system.streams, secret);
    const cut = await running.another({
      publish: {
        publish: (command) =>
          command.name === name && command.ref.kind !== "conversation"
            ? Promise.reject(new AppError("unavailable"))
            : own.publish(command),
      },
    });
    expect((await remove(cut, email)).status).toBe(503);
    expect((await remove(here, email)).status).toBe(204);
    await isErased(accountRef(user));
    await isErased({ tenant, kind: "conversation", id });
  },
);

test("nothing was reported as a fault", () => {
  expect(running.problems).toEqual([]);
});
