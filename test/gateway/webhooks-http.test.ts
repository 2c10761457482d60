/** `/api/v1/webhooks`: who may, what is shown once, and that what it says happens. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startWebhooks } from "../../integrations/webhooks/runner.ts";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import type { Role } from "../../schemas/permissions.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { publisherOn } from "../integrations/feed.ts";
import { hasTaken, type Receiver, startReceiver } from "../integrations/receiver.ts";
import { secret } from "../streams/system.ts";
import { type Running, startRunning } from "./running.ts";

let running: Running;
let receiver: Receiver;
const ends: (() => Promise<void>)[] = [];
beforeAll(async () => {
  running = await startRunning();
  receiver = await startReceiver();
  const client = await running.world.system.client();
  const publisher = await publisherOn(client, systemIds());
  const webhooks = await startWebhooks({
    ...{ streams: client.streams, vault: client.vault, clock: systemClock, ids: systemIds },
    ...{ holder: systemIds(), publish: commandPublisher(client.streams, secret), anywhere: true },
    report: ({ what, error }) => process.stderr.write(`${what} ${String(error)}\n`),
  });
  ends.push(
    () => running.stop(),
    () => receiver.close(),
    () => publisher.stop(),
    () => webhooks.stop(),
  );
});
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

interface Hook {
  readonly id: string;
  readonly url: string;
  readonly enabled: boolean;
  readonly secret?: string;
}

async function ask<T>(
  method: string,
  path: string,
  body?: object,
  { role = "owner", tenant = "acme" }: { role?: Role; tenant?: string } = {},
): Promise<{ status: number; body: T }> {
  const response = await fetch(`${running.gateway.url}/api/v1/webhooks${path}`, {
    method,
    headers: {
      authorization: `Bearer ${await running.token("ann", tenant, 600, role)}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  // The tests check every part that they read.
  return { status: response.status, body: (text === "" ? null : JSON.parse(text)) as T };
}

test("I10: a webhook is made, tried, changed, replayed and removed by who may, and is nobody else's", async () => {
  const { url } = receiver;
  // It is posted what everybody of the tenant writes, which admins may not read.
  for (const role of ["member", "admin"] as const) {
    expect((await ask("POST", "", { url }, { role })).status).toBe(403);
    expect((await ask("GET", "", undefined, { role })).status).toBe(403);
  }
  expect((await ask("POST", "", { url: "file:///etc/passwd" })).status).toBe(400);
  expect((await ask("POST", "", { url: "https://ann:secret@acme.example/" })).status).toBe(400);
  const made = await ask<Hook>("POST", "", { url, types: ["message.created"] });
  expect(made).toMatchObject({ status: 201, body: { url, enabled: true } });
  const { id, secret: shown = "" } = made.body;
  expect(shown).toMatch(/^whsec_/);
  receiver.secret = shown;
  const listed = await ask<{ items: Hook[] }>("GET", "");
  expect(listed.body.items).toEqual([{ ...made.body, secret: undefined }]);
  expect((await ask("GET", `/${id}`, undefined, { tenant: "other" })).status).toBe(404);
  expect((await ask("POST", `/${id}/test`, undefined, { tenant: "other" })).status).toBe(404);

  expect((await ask("POST", `/${id}/test`)).status).toBe(202);
  await hasTaken(receiver, 1);
  expect(receiver.taken[0]).toMatchObject({ type: "colloquy.webhook.tested.v1" });
  type Deliveries = { items: { event: string; outcome: string; status: number }[] };
  const deliveries = async () => (await ask<Deliveries>("GET", `/${id}/deliveries`)).body.items;
  await expect
    .poll(deliveries)
    .toMatchObject([{ event: receiver.taken[0]?.id, outcome: "delivered", status: 200 }]);

  const rotated = await ask<Hook>("PATCH", `/${id}`, { rotateSecret: true, types: ["*"] });
  expect(rotated.body.secret).not.toBe(shown);
  receiver.secret = rotated.body.secret ?? "";
  const before = new Date(Date.now() - 3_600_000).toISOString();
  expect((await ask("POST", `/${id}/replay`, { from: "2999-01-01T00:00:00.000Z" })).status).toBe(
    400,
  );
  expect((await ask("POST", `/${id}/replay`, { from: before })).status).toBe(202);
  await hasTaken(receiver, 2);
  expect(receiver.taken[1]).toEqual(receiver.taken[0]);

  const off = await ask<Hook>("PATCH", `/${id}`, { enabled: false });
  expect(off.body).toMatchObject({ enabled: false });
  expect(off.body).not.toHaveProperty("secret");
  expect((await ask("DELETE", `/${id}`)).status).toBe(204);
  expect((await ask<{ items: Hook[] }>("GET", "")).body.items).toEqual([]);
  expect((await ask("DELETE", `/${id}`)).status).toBe(404);
  expect(running.problems).toEqual([]);
});
