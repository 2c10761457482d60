/** Members and invitations of a workspace, over real HTTP and WebSocket, at two gateways of one system. */
import { beforeAll, describe, expect, test } from "vitest";
import { decodeJwt } from "jose";
import type { Gateway } from "../../../gateway/server.ts";
import { openForeign } from "../foreign.ts";
import type { Running } from "../running.ts";
import { ask, login, pairOf, profile, register, signIn } from "./door.ts";
import { startInstallation } from "./installation.ts";

let running: Running;
let here: Gateway;
let there: Gateway;
beforeAll(async () => {
  ({ running, here, there } = await startInstallation());
  return () => running.stop();
});

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

describe("workspaces", () => {
  test("I10: roles hold at once, on every gateway: changed, removed, the last owner", async () => {
    await register(here, "own@example.org");
    const owner = (await signIn(here, "own@example.org")).accessToken;
    const fay = await member(owner, "fay@example.org", "admin");
    const pair = await signIn(here, "fay@example.org");
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
    const token = (await signIn(here, "gus@example.org")).accessToken;
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

  test("I10: who is signed in joins by an invitation and goes on there; keys and other tokens do not", async () => {
    await register(here, "pia@example.org");
    const owner = (await signIn(here, "pia@example.org")).accessToken;
    const invite = async (body: object = {}): Promise<string> => {
      const path = "/api/v1/workspace/invitations";
      return String((await ask(here, "POST", path, { token: owner, body })).body["token"]);
    };
    const join = (token: string, invitation: string) =>
      ask(there, "POST", "/api/v1/auth/join", { token, body: { invitation } });
    await register(here, "quo@example.org");
    const token = (await signIn(here, "quo@example.org")).accessToken;
    const invitation = await invite({ role: "viewer" });
    const tenant = String(/^cin_([^.]+)/.exec(invitation)?.[1]);
    const made = await ask(here, "POST", "/api/v1/api-keys", {
      ...{ token, body: { name: "key", scopes: ["read", "write", "manage"] } },
    });
    const foreign = await running.token("quo", "acme");
    for (const other of [String(made.body["key"]), foreign]) {
      expect(await join(other, invitation)).toMatchObject({ status: 403 });
    }
    for (const wrong of ["x", invitation.replace(/.$/, ""), await invite({ email: "r@b.cd" })]) {
      const refused = await join(token, wrong);
      expect(refused).toMatchObject({ status: 404, body: { code: "invitation_invalid" } });
    }
    const joined = await join(token, invitation);
    expect(joined.status).toBe(200);
    const there_token = pairOf(joined).accessToken;
    const shown = await ask(here, "GET", profile, { token: there_token });
    expect(shown.body).toMatchObject({ tenant, role: "viewer" });
    expect(shown.body["tenants"]).toHaveLength(2);
    // The session before stays, and a repeat is no error for a member.
    expect((await ask(here, "GET", profile, { token })).status).toBe(200);
    expect((await join(token, invitation)).status).toBe(200);
  });

  test("a workspace that everybody has left tells nobody anything and lets nobody in", async () => {
    await register(here, "zoe@example.org");
    const token = (await signIn(here, "zoe@example.org")).accessToken;
    const { body: me } = await ask(here, "GET", profile, { token });
    const tenant = String(me["tenant"]);
    const body = { url: "https://example.org/hook" };
    const hook = await ask(here, "POST", "/api/v1/webhooks", { token, body });
    const invite = async (by: string, role: string): Promise<string> => {
      const path = "/api/v1/workspace/invitations";
      return String((await ask(here, "POST", path, { token: by, body: { role } })).body["token"]);
    };
    const kept = [await invite(token, "owner"), await invite(token, "member")];
    const left = await ask(here, "DELETE", `/api/v1/workspace/members/${String(me["id"])}`, {
      token,
    });
    expect(left.status).toBe(204);
    for (const [n, invitation] of kept.entries()) {
      const refused = await register(here, `zed${n}@example.org`, { invitation });
      expect(refused).toMatchObject({ status: 404, body: { code: "invitation_invalid" } });
    }
    const operator = await running.token("operator", tenant, 600, "owner");
    const path = `/api/v1/webhooks/${String(hook.body["id"])}`;
    expect((await ask(there, "GET", path, { token: operator })).body["enabled"]).toBe(false);
    // Who operates the installation gives it to somebody.
    const given = await invite(operator, "owner");
    const came = await register(here, "yan@example.org", { invitation: given });
    expect(came).toMatchObject({ status: 201, body: { tenant, role: "owner" } });
  });

  test("I11: members, invitations and keys come page by page, each as it is now", async () => {
    await register(here, "lea@example.org");
    const token = (await signIn(here, "lea@example.org")).accessToken;
    for (const name of ["moe", "nia"]) await member(token, `${name}@example.org`, "viewer");
    for (const name of ["1", "2", "3"]) {
      await ask(here, "POST", "/api/v1/workspace/invitations", { token, body: {} });
      const body = { name, scopes: ["read"] };
      await ask(here, "POST", "/api/v1/api-keys", { token, body });
    }
    for (const list of ["workspace/members", "workspace/invitations", "api-keys"]) {
      const path = `/api/v1/${list}?limit=2`;
      const first = await ask(there, "GET", path, { token });
      const cursor = encodeURIComponent(String(first.body["next"]));
      const second = await ask(here, "GET", `${path}&cursor=${cursor}`, { token });
      const whole = await ask(here, "GET", `/api/v1/${list}`, { token });
      const items = (one: typeof first) => one.body["items"] as unknown[]; // as lists are
      expect([list, items(first).length, items(second).length]).toEqual([list, 2, 1]);
      expect([...items(first), ...items(second)]).toEqual(items(whole));
      expect([second.body["next"], whole.body["next"]]).toEqual([null, null]);
      const bad = await ask(here, "GET", `${path}&cursor=x`, { token });
      expect(bad).toMatchObject({ status: 400, body: { code: "bad_cursor" } });
    }
  });

  test("I10: a member sees and revokes his own API keys, an admin everybody's", async () => {
    await register(here, "una@example.org");
    const owner = (await signIn(here, "una@example.org")).accessToken;
    await member(owner, "vic@example.org", "member");
    const token = (await signIn(here, "vic@example.org")).accessToken;
    const path = "/api/v1/api-keys";
    const newKey = async (by: string, name: string): Promise<string> => {
      const body = { name, scopes: ["read"] };
      return String((await ask(here, "POST", path, { token: by, body })).body["id"]);
    };
    const [hers, his] = [await newKey(owner, "hers"), await newKey(token, "his")];
    const seen = async (by: string): Promise<unknown[]> => {
      const { body } = await ask(there, "GET", path, { token: by });
      return (body["items"] as { id: string }[]).map(({ id }) => id).toSorted(); // as lists are
    };
    expect([await seen(token), await seen(owner)]).toEqual([[his], [hers, his].toSorted()]);
    expect((await ask(here, "DELETE", `${path}/${hers}`, { token })).status).toBe(404);
    expect((await ask(here, "DELETE", `${path}/${his}`, { token: owner })).status).toBe(204);
    expect(await seen(token)).toEqual([]);
  });

  test("I10: of another tenant nothing can be named", async () => {
    await register(here, "lou@example.org");
    await register(here, "max@example.org");
    const lou = (await signIn(here, "lou@example.org")).accessToken;
    const max = (await signIn(here, "max@example.org")).accessToken;
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

describe("coming first", () => {
  const path = "/api/v1/workspace/invitations";

  test("I10: where registration is closed nobody comes to own the tenant", async () => {
    const firstTenant = "closed-one";
    const closed = await running.another({ registration: "closed", firstTenant });
    expect(await register(closed, "eve@example.org")).toMatchObject({
      ...{ status: 403, body: { code: "registration_closed" } },
    });
    const token = await running.token("ops", firstTenant, 3_600, "admin");
    const made = await ask(closed, "POST", path, { token, body: { role: "viewer" } });
    const invitation = String(made.body["token"]);
    expect(await register(closed, "eve@example.org", { invitation })).toMatchObject({
      ...{ status: 403, body: { code: "registration_closed" } },
    });
  });

  test("I10: an invitation gives its role, also to the first account of all", async () => {
    const firstTenant = "invited-one";
    const invited = await running.another({ registration: "invited", firstTenant });
    const token = await running.token("ops", firstTenant, 3_600, "admin");
    const made = await ask(invited, "POST", path, { token, body: { role: "viewer" } });
    const invitation = String(made.body["token"]);
    expect(await register(invited, "eli@example.org", { invitation })).toMatchObject({
      ...{ status: 201, body: { tenant: firstTenant, role: "viewer" } },
    });
    expect(await register(invited, "flo@example.org")).toMatchObject({
      ...{ status: 403, body: { code: "registration_closed" } },
    });
  });
});

test("nothing was reported as a fault", () => {
  expect(running.problems).toEqual([]);
});
