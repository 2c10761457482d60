/** What a hostile integrator comes to with the account that nats.conf gives it, beside a real worker. */
import { rmSync } from "node:fs";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { event } from "../../schemas/events.ts";
import type { Commit } from "../../schemas/commit.ts";
import { type ActorRef, systemIds } from "../../schemas/ids.ts";
import { eventSubject, liveSubject, tokenSubject } from "../../schemas/subjects.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { followCommits } from "../../streams/live/live.ts";
import { followTokens } from "../../streams/live/tokens.ts";
import type { Publisher } from "../../integrations/publisher.ts";
import { startWorld, type Worker, type World } from "../actors/worker.ts";
import { line, publisherOn, reached } from "../integrations/feed.ts";
import { type Client, newRef, startSystemOn } from "../streams/system.ts";
import { temporary } from "../support/services.ts";
import { addressOf, passwordOf, startShippedNats } from "../support/shipped-nats.ts";

const dir = temporary("integrator");
let world: World;
let worker: Worker;
let publisher: Publisher;
let integrator: NatsConnection;
/** As the gateway reads. */
let reader: Client;
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
  publisher = await publisherOn(await system.client(addressOf(server, "feed")), systemIds());
  ends.push(() => publisher.stop());
  reader = await system.client(addressOf(server, "gateway"));
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
}, 60_000);
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
    expect((await integrator.request(feed_consumer, consumer({}))).json()).not.toHaveProperty(
      "error",
    );
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

  test("I10: wherever it has its feed delivered, no stream takes it and who reads there goes on", async () => {
    const { streams, log } = world.system;
    const { ref } = await answered("create", {});
    const commits: Commit[] = [];
    const frames: TokenFrame[] = [];
    const followed = [
      followCommits(reader.streams, reader.vault, ref, (commit) => commits.push(commit)),
      followTokens(reader.streams, ref, (frame) => frames.push(frame)),
    ];
    await Promise.all(followed.map(({ ready }) => ready));
    const aims = [
      ...[liveSubject(ref), tokenSubject(ref), eventSubject(newRef("acme"))],
      ...[`cmd.acme.workspace.${systemIds()}.anchor`, "reply.zeta.x"],
    ];
    const before = await messagesOf("EVENTS");
    for (const deliver_subject of aims) {
      await streams.jsm.consumers.delete("FEED", "acme").catch(() => false);
      // Whether the server refuses it is not what is held here.
      await integrator.request(feed_consumer, consumer({ deliver_subject }));
    }
    await answered("update", { title: "Mine" }, ref);
    await reached(publisher, (await log.last(ref))?.sequence ?? 0);
    await reader.streams.nc.flush();
    expect(commits.map(({ revision }) => revision)).toEqual([2]);
    expect(frames).toEqual([]);
    expect(await messagesOf("EVENTS")).toBe(before + 1);
    await expect.poll(commandsLeft).toEqual([]);
    for (const { stop } of followed) stop();
  });
});
