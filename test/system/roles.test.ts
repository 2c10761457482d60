/** The roles in processes of their own, each as the user that nats.conf has for it. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { jetstream } from "@nats-io/jetstream";
import { connect, headers, type Msg } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { liveOwner } from "../../cli/folder/folder-lock.ts";
import { newId } from "../../web/client.ts";
import { startDatabase } from "../faults/system.ts";
import { layPglite } from "../support/clusters.ts";
import { type Running, temporary } from "../support/services.ts";
import { addressOf, type NatsUser, passwordOf, startShippedNats } from "../support/shipped-nats.ts";
import { colloquy, type Part, type Served, startPart, startServe } from "./serve.ts";
import { openStory } from "./story.ts";

let folder: string;
let nats: Running;
const ends: (() => Promise<unknown>)[] = [];

/** A process of one role. */
function part(env: Record<string, string>, role: string): Part {
  const one = startPart(folder, env, role);
  ends.push(async () => one.process.kill("SIGKILL"));
  return one;
}

beforeEach(async () => {
  folder = temporary("roles");
  nats = await startShippedNats(folder);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await nats.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

test("a gateway, a projector and a worker start in any order with the least rights, and hold a conversation", async () => {
  const database = await startDatabase(join(folder, "postgres"));
  ends.push(() => database.stop());
  const settings = (user: NatsUser): Record<string, string> => ({
    NATS_URL: addressOf(nats, user),
    DATABASE_URL: database.url,
    COLLOQUY_SECRET: "s".repeat(64),
    COLLOQUY_MASTER_KEY: "0123456789abcdef".repeat(4),
    COLLOQUY_FEED_READERS: "acme",
  });
  // The front door comes first and waits for what a worker makes.
  const serving = startServe(folder, settings("gateway"), ["--roles", "gateway"]);
  const others: readonly [NatsUser, string][] = [
    ["projector", "projections"],
    ["feed", "feed"],
    ["worker", "actors"],
  ];
  const parts = others.map(([user, role]) => part(settings(user), role));
  const gateway: Served = await serving;
  ends.push(() => gateway.end("SIGTERM"));
  await expect.poll(() => fetch(`${gateway.url}/ready`).then(({ status }) => status)).toBe(200);

  const wrong: string[] = [];
  const story = openStory((why) => wrong.push(why));
  const client = gateway.client();
  const id = newId();
  client.begin(id, story);
  await client.send(id, "A log is an ordered list of events. What is a log?");
  await story.until(({ frames }) => frames.some(({ type }) => type === "end"));
  client.close();
  expect(wrong).toEqual([]);

  // Whoever integrates sees its own tenant's feed, through any client.
  const integrator = await connect({
    ...{ servers: nats.url, user: "integrator", pass: passwordOf("integrator") },
    inboxPrefix: "_INBOX.acme",
  });
  ends.push(() => integrator.close());
  const answer = new Promise<Msg>((resolve) => {
    integrator.subscribe("reply.acme.orders", { callback: (_error, message) => resolve(message) });
  });
  const made = headers();
  made.set("Colloquy-Reply", "reply.acme.orders");
  const command = JSON.stringify({ id: newId(), data: { text: "What is an order?" } });
  const js = jetstream(integrator);
  const asked = newId();
  await js.publish(`cmd.acme.conversation.${asked}.send`, command, { headers: made });
  expect((await answer).json()).toMatchObject({ ok: true, revision: 3 });
  const consumer = await js.consumers.get("FEED", "acme");
  const types: string[] = [];
  for await (const message of await consumer.consume()) {
    expect(message.subject).toMatch(/^feed\.acme\./);
    const { type, subject } = message.json<{ type: string; subject: string }>();
    message.ack();
    if (subject === `conversation/${asked}`) types.push(type);
    if (type === "colloquy.turn.completed.v1") break;
  }
  expect(types).toEqual([
    "colloquy.conversation.started.v1",
    "colloquy.message.created.v1",
    "colloquy.turn.started.v1",
    "colloquy.model.called.v1",
    "colloquy.turn.completed.v1",
  ]);
  // Each knows by itself when it is ready, also with no right to look at the others.
  await expect
    .poll(() => parts.map(({ said }) => said.includes("Colloquy is ready")))
    .toEqual(parts.map(() => true));
  const complaints = parts.flatMap((one) => one.complaints);
  expect(complaints.filter((line) => line.includes("actors: "))).toEqual([]);
  const anchored = await colloquy(["anchors", "make"], { folder, env: settings("worker") });
  expect(anchored).toMatchObject({ code: 0, err: "" });
  for (const one of parts) {
    one.process.kill("SIGTERM");
    expect(await one.ended).toEqual([0, null]);
    // Nothing that it did was refused to it.
    expect(one.complaints.filter((line) => /permission/i.test(line))).toEqual([]);
  }
});

test("with embedded servers, too, a process runs the roles that were asked for and no other", async () => {
  const data = join(folder, "data");
  await layPglite(join(data, "postgres"));
  const gateway = part({ COLLOQUY_DATA: data }, "gateway");
  await expect.poll(() => liveOwner(data)?.url ?? null).not.toBe(null);
  const response = await fetch(`${liveOwner(data)?.url}/ready`);
  expect(response.status).toBe(503);
  expect(await response.text()).toContain("no worker is there");
  gateway.process.kill("SIGTERM");
  expect(await gateway.ended).toEqual([0, null]);
});
