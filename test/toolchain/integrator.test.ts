/** What a hostile integrator comes to with the account that nats.conf gives it, beside a real worker. */
import { rmSync } from "node:fs";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { event } from "../../schemas/events.ts";
import { type ActorRef, systemClock, systemIds } from "../../schemas/ids.ts";
import { eventSubject, liveSubject, tokenSubject } from "../../schemas/subjects.ts";
import type { Publisher } from "../../integrations/publisher.ts";
import { startWorld, type Worker, type World } from "../actors/worker.ts";
import { line, publisherOn, reached } from "../integrations/feed.ts";
import { newRef, startSystemOn } from "../streams/system.ts";
import { temporary } from "../support/services.ts";
import { addressOf, passwordOf, startShippedNats } from "../support/shipped-nats.ts";

const dir = temporary("integrator");
let world: World;
let worker: Worker;
let publisher: Publisher;
let integrator: NatsConnection;
/** Sees everything that is published, but for appends that are refused. */
let observer: NatsConnection;
/** Subjects of the messages that came to the observer. */
const seen: string[] = [];
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  const server = await startShippedNats(dir);
  const stop = (): Promise<void> => server.stop();
  const system = await startSystemOn({ url: addressOf(server, "worker"), stop }, 1);
  world = await startWorld(system);
  ends.push(async () => rmSync(dir, { recursive: true }));
  ends.push(() => world.stop());
  worker = await world.worker();
  const feed = await system.client(addressOf(server, "feed"));
  publisher = await publisherOn(feed, systemIds(), [], systemClock, ["acme"]);
  ends.push(() => publisher.stop());
  const as = (user: string, inboxPrefix: string): Promise<NatsConnection> =>
    connect({ servers: server.url, user, pass: passwordOf(user), inboxPrefix });
  integrator = await as("integrator", "_INBOX.acme");
  observer = await as("colloquy", "_INBOX");
  ends.push(
    () => integrator.close(),
    () => observer.close(),
  );
  observer.subscribe(">", { callback: (_error, message) => void seen.push(message.subject) });
  await observer.flush();
  return async () => {
    for (const end of ends.splice(0).reverse()) await end();
  };
});
afterAll(() => {
  // Nothing of all this was a fault of the worker.
  expect(worker.problems).toEqual([]);
});

/** Publishes `create` for a new conversation of acme, unless it is named otherwise. */
function command(
  { inbox, reply }: { inbox?: string; reply?: string },
  [name, data, ref]: [string, object, ActorRef] = ["create", {}, newRef("acme")],
): { id: string; ref: ActorRef } {
  const id = systemIds();
  const made = headers();
  if (inbox !== undefined) made.set("Colloquy-Reply", inbox);
  integrator.publish(`cmd.acme.conversation.${ref.id}.${name}`, JSON.stringify({ id, data }), {
    ...{ headers: made, ...(reply === undefined ? {} : { reply }) },
  });
  return { id, ref };
}
/** The same, once it was answered in the tenant's own inbox. */
async function answered(
  name: string,
  data: object,
  of = newRef("acme"),
): Promise<{ ref: ActorRef }> {
  const inbox = `reply.acme.${systemIds()}`;
  const answers = integrator.subscribe(inbox, { max: 1 });
  await integrator.flush();
  const { id, ref } = command({ inbox }, [name, data, of]);
  let reply: unknown;
  for await (const message of answers) reply = message.json();
  expect(reply).toMatchObject({ command: id, ok: true });
  return { ref };
}
const feed_consumer = "$JS.API.CONSUMER.CREATE.FEED.acme.feed.acme.>";
const consumer = (more: object): string =>
  JSON.stringify({
    ...{ stream_name: "FEED", action: "" },
    config: {
      durable_name: "acme",
      filter_subject: "feed.acme.>",
      ack_policy: "explicit",
      ...more,
    },
  });
/** Subjects of the commands that wait; timers are none. */
const commandsLeft = async (): Promise<string[]> => {
  const { state } = await world.system.streams.jsm.streams.info("COMMANDS", {
    subjects_filter: "cmd.>",
  });
  return Object.keys(state.subjects ?? {});
};
const messagesOf = async (stream: string): Promise<number> =>
  (await world.system.streams.jsm.streams.info(stream)).state.messages;

describe("an integrator of nats.conf", () => {
  test("I10: a reply beyond its tenant is a dead letter, and nobody is answered", async () => {
    const { jsm } = world.system.streams;
    const foreign = ["reply.zeta.inbox", "_INBOX.acme.x", "evt.acme.conversation.x", "reply.>"];
    for (const subject of foreign) {
      const { ref } = command({ inbox: subject });
      const letter = { last_by_subj: `dead.commands.acme.conversation.${ref.id}` };
      await expect
        .poll(async () =>
          (await jsm.streams.getMessage("DEAD", letter).catch(() => null))?.header.get(
            "Colloquy-Code",
          ),
        )
        .toBe("bad_reply_subject");
      expect(await world.system.log.last(ref)).toBeNull();
    }
    // One of its own is answered; by then the others would have been.
    await answered("create", {});
    await observer.flush();
    for (const subject of foreign) expect(seen).not.toContain(subject);
  });

  test("I10: whatever it asks the server to answer to, answers stay in its own account", async () => {
    const victim = newRef("acme");
    const commits = await messagesOf("EVENTS");
    const aims = [
      ...[eventSubject(victim), liveSubject(victim), tokenSubject(victim)],
      ...["reply.zeta.x", `cmd.acme.workspace.${systemIds()}.anchor`, "$JS.API.STREAM.PURGE.FEED"],
    ];
    await reached(
      publisher,
      await line(world.system, newRef("acme")).say(event("conversation.deleted", {})),
    );
    seen.length = 0;
    const begun: ActorRef[] = [];
    for (const reply of aims) {
      begun.push(command({ reply }).ref);
      integrator.publish(feed_consumer, consumer({}), { reply });
      integrator.publish("$JS.API.CONSUMER.INFO.FEED.acme", "", { reply });
      integrator.publish("$JS.API.CONSUMER.MSG.NEXT.FEED.acme", '{"batch":1,"no_wait":true}', {
        reply,
      });
    }
    // Asked behind them, and answered behind them.
    await integrator.request("$JS.API.CONSUMER.INFO.FEED.acme", "");
    for (const ref of begun) {
      await expect.poll(() => world.system.log.last(ref)).not.toBeNull();
    }
    await observer.flush();
    for (const aim of aims) expect(seen).not.toContain(aim);
    expect(await world.system.log.last(victim)).toBeNull();
    expect(await messagesOf("EVENTS")).toBe(commits + 1 + begun.length);
    await expect.poll(commandsLeft).toEqual([]);
    expect(await messagesOf("FEED")).toBeGreaterThan(0);
  });

  test("I10: it makes no consumer and changes none, so its feed is delivered nowhere but to itself", async () => {
    const { ref } = await answered("create", {});
    await reached(publisher, (await world.system.log.last(ref))?.sequence ?? 0);
    const { jsm } = world.system.streams;
    const { config } = await jsm.consumers.info("FEED", "acme");
    const request = consumer({ deliver_subject: liveSubject(ref) });
    for (const subject of [
      feed_consumer,
      "$JS.API.CONSUMER.DURABLE.CREATE.FEED.acme",
      "$JS.API.CONSUMER.CREATE.FEED",
      "colloquy.feed.create.x",
    ]) {
      await expect(integrator.request(subject, request), subject).rejects.toThrow(/permission/i);
    }
    const names: string[] = [];
    for await (const { name } of jsm.consumers.list("FEED")) names.push(name);
    expect(names).toEqual(["acme"]);
    expect((await jsm.consumers.info("FEED", "acme")).config).toEqual(config);
    expect(config).not.toHaveProperty("deliver_subject");
  });
});
