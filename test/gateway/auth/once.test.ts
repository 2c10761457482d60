/** What is shown once, asked for again with the same `Idempotency-Key`, at two gateways of one system. */
import { Kvm } from "@nats-io/kv";
import { beforeAll, expect, test } from "vitest";
import type { Gateway } from "../../../gateway/server.ts";
import { requests_bucket } from "../../../streams/topology.ts";
import type { Running } from "../running.ts";
import { ask, profile, register, signIn } from "./door.ts";
import { startInstallation } from "./installation.ts";

let running: Running;
let here: Gateway;
let there: Gateway;
let token: string;
beforeAll(async () => {
  ({ running, here, there } = await startInstallation());
  await register(here, "ann@example.org");
  token = (await signIn(here, "ann@example.org")).accessToken;
  return () => running.stop();
});

type Made = Readonly<Record<string, unknown>>;

/** A POST (or another method) with an `Idempotency-Key`; its status in front. */
async function make(
  at: Gateway,
  path: string,
  key: string,
  body: object,
  { method = "POST", as = token } = {},
): Promise<readonly [number, Made]> {
  const response = await fetch(`${at.url}/api/v1/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${as}`,
      "content-type": "application/json",
      "idempotency-key": key,
    },
    body: JSON.stringify(body),
  });
  return [response.status, (await response.json()) as Made]; // every answer here is an object
}

const stored = async () => {
  const bucket = await new Kvm(running.world.system.streams.js).open(requests_bucket);
  const names: string[] = [];
  for await (const name of await bucket.keys()) names.push(name);
  return { bucket, names };
};

const program = { name: "program", scopes: ["read"] };

test("I2: an API key is made once, however often it is asked for, and shown again", async () => {
  const path = "api-keys";
  const all = await Promise.all([here, there, here].map((at) => make(at, path, "one", program)));
  const [[status, first] = [0, {}]] = all;
  expect(status).toBe(201);
  expect(all).toEqual([1, 2, 3].map(() => [201, first]));
  const key = String(first["key"]);
  expect((await ask(there, "GET", profile, { token: key })).status).toBe(200);
  const listed = await ask(here, "GET", "/api/v1/api-keys", { token });
  expect(listed.body["items"]).toHaveLength(1);
  // I10: of another user, or for another body, or without it, it is nobody's answer.
  const bob = await register(here, "bob@example.org").then(() => signIn(here, "bob@example.org"));
  const [, theirs] = await make(here, path, "one", program, { as: bob.accessToken });
  const secretOf = ({ key: whole }: Made): unknown => String(whole).split(".").at(-1);
  expect([secretOf(theirs) === secretOf(first), theirs["id"] === first["id"]]).toEqual([
    ...[false, false],
  ]);
  const [mismatch, problem] = await make(here, path, "one", { ...program, name: "other" });
  expect([mismatch, problem["code"]]).toEqual([422, "idempotency_mismatch"]);
  const [, other] = await make(here, path, "two", program);
  expect(other["key"]).not.toBe(key);
  // Nothing that lies in the bucket is the secret.
  const { bucket, names } = await stored();
  const secret = key.split(".").at(-1) ?? "";
  for (const name of names) {
    const value = (await bucket.get(name))?.string() ?? "";
    expect([secret, Buffer.from(secret, "base64url").toString("hex")]).not.toContain(value);
  }
});

test("I10: what was revoked does not come back, neither in that day nor after it", async () => {
  const [, made] = await make(here, "api-keys", "revoked", program);
  const key = String(made["key"]);
  await ask(here, "DELETE", `/api/v1/api-keys/${String(made["id"])}`, { token });
  expect(await make(there, "api-keys", "revoked", program)).toEqual([201, made]);
  expect((await ask(here, "GET", profile, { token: key })).status).toBe(401);
  const { bucket, names } = await stored();
  for (const name of names) await bucket.purge(name);
  const [status, fresh] = await make(there, "api-keys", "revoked", program);
  expect([status, fresh["key"] === key, fresh["id"] === made["id"]]).toEqual([201, false, false]);
  expect((await ask(there, "GET", profile, { token: String(fresh["key"]) })).status).toBe(200);
  expect((await ask(there, "GET", profile, { token: key })).status).toBe(401);
});

test("I2: so is an invitation, which lets one in", async () => {
  const path = "workspace/invitations";
  const all = [
    await make(here, path, "invite", { role: "viewer" }),
    await make(there, path, "invite", { role: "viewer" }),
  ];
  const [[status, first] = [0, {}]] = all;
  expect([status, all[1]]).toEqual([201, [201, first]]);
  const listed = await ask(here, "GET", `/api/v1/${path}`, { token });
  expect(listed.body["items"]).toHaveLength(1);
  const invitation = String(first["token"]);
  expect((await register(here, "cleo@example.org", { invitation })).status).toBe(201);
  expect((await register(here, "dora@example.org", { invitation })).status).toBe(404);
});

test("I2: and a webhook's secret, the first and the next", async () => {
  const body = { url: "https://example.org/hook" };
  const first = await make(here, "webhooks", "hook", body);
  expect(first[0]).toBe(201);
  expect(await make(there, "webhooks", "hook", body)).toEqual(first);
  const path = `webhooks/${String(first[1]["id"])}`;
  const rotate = (at: Gateway, key: string) =>
    make(at, path, key, { rotateSecret: true }, { method: "PATCH" });
  const next = await rotate(here, "rotate");
  expect(next[1]["secret"]).not.toBe(first[1]["secret"]);
  expect(await rotate(there, "rotate")).toEqual(next);
  expect((await rotate(there, "again"))[1]["secret"]).not.toBe(next[1]["secret"]);
});

test("nothing was reported as a fault", () => {
  expect(running.problems).toEqual([]);
});
