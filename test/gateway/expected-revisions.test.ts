/**
 * Who changes what somebody else has changed meanwhile is told, wherever an answer carries an ETag: the
 * settings and the profile of an account, its workspace, the workspace's webhooks.
 */
import { beforeAll, expect, test } from "vitest";
import type { Gateway } from "../../gateway/server.ts";
import { systemIds } from "../../schemas/ids.ts";
import { register, signIn } from "./auth/door.ts";
import { startInstallation } from "./auth/installation.ts";

let here: Gateway;
let there: Gateway;
let token: string;
beforeAll(async () => {
  const installation = await startInstallation();
  ({ here, there } = installation);
  await register(here, "ann@example.org");
  token = (await signIn(here, "ann@example.org")).accessToken;
  return () => installation.running.stop();
});

interface Answer {
  readonly status: number;
  readonly tag: string;
  readonly body: Record<string, unknown>;
}

async function ask(
  at: Gateway,
  method: string,
  path: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(`${at.url}${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...{ authorization: `Bearer ${token}`, ...headers },
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  // Every answer of the API that has a body is an object.
  const shown = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
  return { status: response.status, tag: response.headers.get("etag") ?? "", body: shown };
}

/** A page that two people have open, and what each of them makes of it. */
async function contested(path: string, method: string, changes: readonly object[]): Promise<void> {
  const [first, second, third, fourth] = changes;
  const change = (at: Gateway, body: object | undefined, known: string, more = {}) =>
    ask(at, method, path, body, { "if-match": known, ...more });
  const read = (): Promise<Answer> => ask(there, "GET", path);
  const { tag, status } = await read();
  expect([status, tag]).toEqual([200, expect.stringMatching(/^"\d+(-[\w-]{22})?"$/)]);
  const both = await Promise.all([change(here, first, tag), change(there, second, tag)]);
  expect(both.map((one) => one.status).toSorted((a, b) => a - b)).toEqual([200, 412]);
  expect(both.find((one) => one.status === 412)?.body["code"]).toBe("precondition_failed");
  const won = both.find((one) => one.status === 200);
  expect((await read()).tag).toBe(won?.tag);
  // A repeat is no second change, and is not refused for what it did itself.
  const key = { "idempotency-key": systemIds() };
  const done = await change(here, third, won?.tag ?? "", key);
  const again = await change(there, third, won?.tag ?? "", key);
  expect([done.status, again.status, again.tag]).toEqual([200, 200, done.tag]);
  expect(done.tag).not.toBe(won?.tag);
  for (const known of [tag, '"nothing"', `W/${done.tag}`, '"0"', '"999"']) {
    const refused = await change(here, fourth, known);
    expect([refused.status, refused.body["code"]]).toEqual([412, "precondition_failed"]);
  }
  expect((await change(here, fourth, '"1", "2"')).status).toBe(400);
  expect((await read()).body).toEqual(done.body);
  const forced = await change(here, fourth, "*");
  expect([forced.status, forced.body]).toEqual([200, expect.objectContaining(fourth ?? {})]);
  expect((await ask(there, "GET", path, undefined, { "if-none-match": forced.tag })).status).toBe(
    304,
  );
}

const names = ["A", "B", "C", "D"].map((name) => ({ name }));

test("I2: of two who replace the settings they both read, the second is told", async () => {
  const themes = ["A", "B", "C", "D"].map((theme) => ({ theme }));
  await contested("/api/v1/users/settings", "PUT", themes);
});

test("I2: the same of a profile, whatever else happened to the account", async () => {
  await contested("/api/v1/users/profile", "PUT", names);
  const before = await ask(here, "GET", "/api/v1/users/profile");
  await signIn(there, "ann@example.org");
  await ask(here, "PUT", "/api/v1/users/settings", { theme: "E" });
  const headers = { "if-match": before.tag };
  expect((await ask(here, "PUT", "/api/v1/users/profile", { name: "E" }, headers)).status).toBe(
    200,
  );
});

test("I2: the same of a workspace, whatever else happened in it", async () => {
  await contested("/api/v1/workspace", "PATCH", names);
  const before = await ask(here, "GET", "/api/v1/workspace");
  expect((await ask(here, "POST", "/api/v1/workspace/invitations", {})).status).toBe(201);
  const headers = { "if-match": before.tag };
  expect((await ask(here, "PATCH", "/api/v1/workspace", { name: "E" }, headers)).status).toBe(200);
});

test("I2: the same of a webhook, of its end, and of no other webhook", async () => {
  const make = (): Promise<Answer> =>
    ask(here, "POST", "/api/v1/webhooks", { url: "https://example.org/" });
  const made = await make();
  const path = `/api/v1/webhooks/${String(made.body["id"])}`;
  expect(made.tag).toBe((await ask(there, "GET", path)).tag);
  await make();
  const urls = ["a", "b", "c", "d"].map((part) => ({ url: `https://example.org/${part}` }));
  await contested(path, "PATCH", urls);
  const { tag } = await ask(here, "GET", path);
  const remove = (known: string): Promise<Answer> =>
    ask(here, "DELETE", path, undefined, { "if-match": known });
  expect([(await remove(made.tag)).status, (await remove(tag)).status]).toEqual([412, 204]);
  expect((await remove(tag)).status).toBe(404);
});
