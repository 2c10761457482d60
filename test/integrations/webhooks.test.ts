/** Webhooks: signed, tried again, never lost, and nobody waits for somebody else's endpoint. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Publisher } from "../../integrations/publisher.ts";
import { deliver, type DeliveryParts } from "../../integrations/webhooks/delivery.ts";
import { openSlots } from "../../integrations/webhooks/slots.ts";
import { startWebhooks, type WebhookOptions } from "../../integrations/webhooks/runner.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { systemClock, systemIds, workspaceRef } from "../../schemas/ids.ts";
import { eraseContent } from "../../streams/content/erasure.ts";
import type { FeedMessage, FeedReader } from "../../streams/feed/readers.ts";
import { openRecords } from "../../streams/feed/records.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { readLetters } from "../../streams/queue/letters.ts";
import { all, newRef, said, secret, startSystem, type System, titled } from "../streams/system.ts";
import { line, publisherOn } from "./feed.ts";
import { hasTaken, type Receiver, startReceiver, webhook_secret } from "./receiver.ts";

let system: System;
let publisher: Publisher;
const receivers: Receiver[] = [];
const ends: (() => Promise<void>)[] = [];
beforeEach(async () => {
  system = await startSystem();
  publisher = await publisherOn(system, systemIds());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await publisher.stop();
  await Promise.all(receivers.splice(0).map((one) => one.close()));
  await system.stop();
});

const times = { timeout_ms: 300, retry_ms: [20, 40, 80], failing_ms: 60_000 };
async function serve(more: Partial<WebhookOptions> = {}): Promise<() => Promise<void>> {
  const { streams, vault } = system;
  const running = await startWebhooks({
    ...{ streams, vault, clock: systemClock, ids: systemIds, holder: systemIds() },
    ...{ publish: commandPublisher(streams, secret), anywhere: true, times },
    report: ({ what, error }) => process.stderr.write(`${what} ${String(error)}\n`),
    ...more,
  });
  const stop = (): Promise<void> => running.stop();
  ends.push(stop);
  return async () => {
    ends.splice(ends.indexOf(stop), 1);
    await stop();
  };
}
async function receiver(): Promise<Receiver> {
  const made = await startReceiver();
  receivers.push(made);
  return made;
}
const made = (webhook: string, url: string, types = ["*"]): DomainEvent =>
  event("webhook.created", { webhook, url, types, secret: webhook_secret });
const changed = (
  webhook: string,
  change: { url?: string; types?: string[]; enabled?: boolean },
): DomainEvent =>
  event("webhook.changed", {
    ...{ webhook, url: null, types: null, secret: null, enabled: null, ...change },
  });

test("I10: a webhook is told its tenant's events of its types, signed, and nobody else's", async () => {
  const here = await receiver();
  const there = await receiver();
  const acme = line(system, workspaceRef("acme"));
  const [one, other] = [systemIds(), systemIds()];
  await acme.say(made(one, here.url, ["message.*", "conversation.titled"]));
  // Another tenant's webhook may have the same id.
  const others = line(system, workspaceRef("other"));
  await others.say(made(one, there.url));
  await serve();
  await line(system, newRef("acme")).say(said("for acme"), titled("Acme's"));
  await line(system, newRef("other")).say(said("for the other"));
  await hasTaken(here, 2);
  await hasTaken(there, 1);
  expect(
    here.taken.map(({ type, payload }) => [type, payload["text"] ?? payload["title"]]),
  ).toEqual([
    ["colloquy.message.created.v1", "for acme"],
    ["colloquy.conversation.titled.v1", "Acme's"],
  ]);
  // Made, changed, tried, switched off, removed, as it runs.
  await acme.say(made(other, there.url, ["turn.*"]), changed(one, { types: ["message.created"] }));
  await acme.say(event("webhook.tested", { webhook: one }));
  await hasTaken(here, 3);
  expect(here.taken[2]).toMatchObject({
    type: "colloquy.webhook.tested.v1",
    payload: { webhook: one },
  });
  await acme.say(changed(one, { enabled: false }));
  await line(system, newRef("acme")).say(said("while it was off"));
  await acme.say(changed(one, { enabled: true }));
  await hasTaken(here, 4);
  await acme.say(event("webhook.removed", { webhook: one }));
  const readers = async () => {
    const names: string[] = [];
    for await (const { name } of system.streams.jsm.consumers.list("FEED")) names.push(name);
    return names.filter((name) => name.includes("-acme-") && name.includes(one));
  };
  await expect.poll(readers).toEqual([]);
  expect(there.taken.every(({ payload }) => payload["text"] !== "for acme")).toBe(true);
});

test("what changes nothing of a webhook leaves its post alone: nothing is posted twice", async () => {
  const here = await receiver();
  const later = await receiver();
  const [one, other] = [systemIds(), systemIds()];
  const acme = line(system, workspaceRef("acme"));
  const held: (() => void)[] = [];
  here.answer = (response) => void held.push(() => response.writeHead(200).end());
  await acme.say(made(one, here.url));
  await serve();
  await acme.say(event("webhook.tested", { webhook: one }));
  await expect.poll(() => held.length).toBe(1);
  await acme.say(event("webhook.tested", { webhook: one }));
  // Whoever tells the other webhook has looked at what came before it.
  await acme.say(made(other, later.url, ["turn.*"]));
  await acme.say(event("webhook.tested", { webhook: other }));
  await hasTaken(later, 1);
  here.answer = (response) => void response.writeHead(200).end();
  for (const release of held) release();
  await hasTaken(here, 2);
  expect(new Set(here.posts).size).toBe(here.posts.length);
});

test("I11: a delivery keeps nothing of what it is through with", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void; // what the flag exposes
  const ending = new AbortController();
  const told: WeakRef<FeedMessage>[] = [];
  let left = (): number => told.filter((one) => one.deref() !== undefined).length;
  const reader: FeedReader = {
    async next() {
      const nothing = (): void => undefined;
      // No event: it is acknowledged and that is all.
      const message: FeedMessage = {
        ...{ subject: "feed.acme.x.y.z", sequence: told.length, at: "", json: "{}", deliveries: 1 },
        ...{ ack: nothing, retry: nothing, working: nothing },
      };
      if (told.push(new WeakRef(message)) < 50) return message;
      // In a turn of its own the loop's references are gone, too.
      await new Promise((resolve) => setImmediate(resolve));
      collect();
      const count = left();
      left = () => count;
      ending.abort();
      return null;
    },
  };
  const parts: DeliveryParts = {
    ...{ streams: system.streams, clock: systemClock, slots: openSlots(1, 1), anywhere: true },
    ...{ ...times, ack_ms: 1_000, disable: () => Promise.resolve() },
  };
  const memory = {
    note: () => undefined,
    failingSince: () => null,
    close: () => Promise.resolve(),
  };
  const webhook = {
    ...{ tenant: "acme", id: systemIds(), url: "", types: [], secret: webhook_secret },
    ...{ enabled: true, generation: 1, from: "", after: 0 },
  };
  await deliver(parts, webhook, reader, memory, ending.signal);
  expect(left()).toBeLessThan(5);
});

test("what an endpoint does not take is tried again, then a dead letter; what is behind it goes on", async () => {
  const here = await receiver();
  const { ref, say } = line(system, newRef());
  const webhook = systemIds();
  await line(system, workspaceRef("acme")).say(made(webhook, here.url, ["message.created"]));
  await serve();
  here.answer = (response, id) => {
    const bad = id.endsWith(":1");
    // A redirect is an answer like others, and not followed.
    response.writeHead(bad ? 307 : 200, bad ? { location: here.url } : {}).end();
  };
  await say(said("poison"), said("good"));
  await hasTaken(here, 1);
  const letters = async () =>
    (await all(readLetters(system.streams, "acme"))).map((one) => one.letter);
  await expect.poll(async () => (await letters()).length).toBe(1);
  const [letter] = await letters();
  expect(letter).toMatchObject({
    ref,
    code: "webhook_failed",
    reason: "it answered 307",
    deliveries: 4,
  });
  expect(letter?.stuck).toContain(webhook);
  expect(here.posts.filter((id) => id === `${ref.id}:1`)).toHaveLength(4);
  const records = await openRecords(system.streams);
  const outcomes = async () =>
    (await records.read("acme", webhook)).deliveries.map(
      ({ outcome, try: n }) => `${outcome} ${n}`,
    );
  await expect
    .poll(outcomes)
    .toEqual(expect.arrayContaining(["delivered 1", "failed 3", "dead 4"]));
  // A letter is erased with the conversation that it tells of.
  await eraseContent(system.streams, system.vault, ref);
  expect(await letters()).toEqual([]);
});

test("I10: endpoints that hang hold up their own tenant at most, and recover", async () => {
  const hanging = await receiver();
  const well = await receiver();
  hanging.answer = () => undefined;
  const acme = line(system, workspaceRef("acme"));
  for (let n = 0; n < 6; n++) await acme.say(made(systemIds(), hanging.url, ["message.created"]));
  await line(system, workspaceRef("other")).say(made(systemIds(), well.url, ["message.created"]));
  const slow = { ...times, timeout_ms: 1_500, retry_ms: [10, 10, 10, 10, 10] };
  await serve({ times: slow });
  await line(system, newRef("acme")).say(said("hangs"));
  // Four POSTs of a tenant at once, and no more.
  await expect.poll(() => hanging.posts.length).toBe(4);
  await line(system, newRef("other")).say(said("quick"));
  await hasTaken(well, 1);
  expect(hanging.taken).toEqual([]);
  expect(hanging.posts).toHaveLength(4);
  hanging.answer = (response) => void response.writeHead(200).end();
  await hasTaken(hanging, 6);
});

test("I1: nothing is lost when the process that posts is stopped or dies, again and again", async () => {
  const here = await receiver();
  let count = 0;
  here.answer = (response) => void response.writeHead(++count % 3 === 0 ? 503 : 200).end();
  await line(system, workspaceRef("acme")).say(made(systemIds(), here.url, ["message.created"]));
  const { say, ref } = line(system, newRef());
  const patient = { ...times, retry_ms: Array.from({ length: 40 }, () => 20), ack_ms: 1_000 };
  for (let round = 0; round < 4; round++) {
    const { streams, vault } = await system.client();
    const end = await serve({ streams, vault, times: patient, report: () => undefined });
    for (let n = 0; n < 10; n++) await say(said(`${round} ${n}`));
    await expect.poll(() => here.posts.length).toBeGreaterThan(round * 10 + 3);
    // Every other time it says nothing to anybody.
    if (round % 2 === 1) await streams.nc.close();
    await end();
  }
  await serve({ times: patient });
  const wanted = Array.from({ length: 40 }, (_, n) => `${ref.id}:${n + 1}`);
  const taken = () => [...new Set(here.taken.map(({ id }) => id))].toSorted();
  await expect.poll(taken).toEqual(wanted.toSorted());
});

test("a replay tells again what the feed keeps since then, to that webhook alone", async () => {
  const here = await receiver();
  const webhook = systemIds();
  const acme = line(system, workspaceRef("acme"));
  const { say, ref } = line(system, newRef());
  await say(said("before it was made"));
  const since = new Date(Date.now() - 60_000).toISOString();
  await acme.say(made(webhook, here.url, ["message.created"]));
  await serve();
  await say(said("one"));
  await hasTaken(here, 1);
  await acme.say(event("webhook.replayed", { webhook, from: since }));
  await hasTaken(here, 3);
  expect(here.taken.map(({ id }) => id)).toEqual([2, 1, 2].map((n) => `${ref.id}:${n}`));
});

test("one that fails for days is switched off by a command of the system", async () => {
  const here = await receiver();
  here.answer = (response) => void response.writeHead(500).end();
  const webhook = systemIds();
  await line(system, workspaceRef("acme")).say(made(webhook, here.url));
  await serve({ times: { ...times, failing_ms: 50 } });
  await line(system, newRef()).say(said("never"));
  const asked = async () => {
    const { id } = workspaceRef("acme");
    const filter = { subjects_filter: `cmd.*.acme.workspace.${id}.disable-webhook` };
    const { state } = await system.streams.jsm.streams.info("COMMANDS", filter);
    return Object.keys(state.subjects ?? {}).length;
  };
  await expect.poll(asked).toBe(1);
});
