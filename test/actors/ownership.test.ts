/** Two hosts on one simulated log: what each does with what the other runs, and with lost messages. */
import { expect, test } from "vitest";
import type { Delivery } from "../../actors/ports.ts";
import type { NamedCommand } from "../../schemas/commands.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { randomOf } from "../simulation/random.ts";
import { createWorld, no_troubles, type SimulatedWorker } from "../simulation/world.ts";

const ref: ActorRef = {
  tenant: "acme",
  kind: "conversation",
  id: "0192a000-0000-7000-8000-000000000001",
};

/** Two workers, and messages that a test hands to either, whose handles remember their use. */
function open() {
  const world = createWorld(randomOf(7), no_troubles);
  const { schedule, stored } = world;
  const start = (): SimulatedWorker => world.start({ pulls: false });
  const answers = (message: { readonly place: number }) =>
    (world.replies.get(message.place) ?? []).map(({ reply }) => reply);
  let sequence = 0;
  const message = (command: NamedCommand, id = world.ids()) => {
    const place = ++sequence;
    const used: string[] = [];
    let deliveries = 0;
    /** Delivered as if it were for the first time. */
    const first = (worker: SimulatedWorker): string[] => {
      deliveries = 0;
      return to(worker);
    };
    const to = (worker: SimulatedWorker): string[] => {
      const mine: string[] = [];
      const note = (what: string) => (): void => {
        mine.push(what);
        used.push(what);
      };
      const delivery: Delivery = {
        ...{
          ref,
          id,
          command,
          by: { type: "user", id: "ann" },
          traceparent: null,
          reply: String(place),
        },
        ...{ partition: 0, sequence: place, deliveries: ++deliveries },
        ...{ ack: note("ack"), working: note("working"), nak: note("nak"), dead: note("dead") },
      };
      worker.host.deliver([delivery]);
      return mine;
    };
    return { id, place, used, to, first };
  };
  const types = (): string[] =>
    stored.commits(ref).flatMap(({ events }) => events.map(({ type }) => type));
  const until = async (holds: () => boolean): Promise<void> => {
    for (let steps = 0; !holds(); steps++) {
      if (steps > 20_000) throw new Error(`it never holds: ${types().join(" ")}`);
      await schedule.next();
    }
  };
  const pass = async (ms: number): Promise<void> => {
    for (const end_ms = schedule.now() + ms; schedule.now() < end_ms;) await schedule.next();
  };
  const send = message({ name: "send", data: { text: "hello" } });
  return {
    world,
    stored,
    answers,
    message,
    types,
    until,
    pass,
    send,
    one: start(),
    other: start(),
  };
}

test("I5: I7: a cancel that another worker decides ends the turn, and voids what its owner still writes", async () => {
  const { world, stored, message, types, until, pass, send, one, other } = open();
  const held = send.to(one);
  await until(() => types().includes("turn.started"));
  await pass(50);
  const cancel = message({ name: "cancel", data: {} });
  const decided = cancel.to(other);
  await until(() => decided.includes("ack"));
  expect(types().slice(-3)).toEqual(["model.attempted", "turn.restarted", "turn.cancelled"]);
  const ended = stored.commits(ref).at(-1)?.events.at(-1);
  expect(ended?.data).toMatchObject({ attempt: 2, reason: "asked" });
  expect(other.host.running()).toBe(0);
  await until(() => one.host.running() === 0 && held.includes("ack"));
  expect(types().at(-1)).toBe("turn.cancelled");
  expect(world.calls.length).toBe(1);
});

test("I7: whose partition is lost stops its effect and touches no handle; the next owner goes on", async () => {
  const { world, types, until, pass, send, one, other } = open();
  const held = send.to(one);
  await until(() => types().includes("turn.started") && held.includes("working"));
  one.host.lost(0);
  expect(one.host.running()).toBe(0);
  expect(one.host.awake()).toBe(0);
  const before = held.length;
  const line = types();
  await pass(10 * limits.working_ms);
  expect(held).toHaveLength(before);
  expect(held).not.toContain("ack");
  expect(types()).toEqual(line);

  const again = send.to(other);
  await until(() => again.includes("ack"));
  expect(types().filter((type) => type.startsWith("turn.") || type === "model.attempted")).toEqual(
    expect.arrayContaining(["turn.started", "turn.restarted", "turn.completed"]),
  );
  expect(world.calls.length).toBe(2);
  expect(world.problems).toEqual([]);
  expect(held).toHaveLength(before);
});

test("I7: a turn is not taken over by who merely hears of it while its owner lives", async () => {
  const { message, types, until, send, one, other } = open();
  send.to(one);
  await until(() => types().includes("turn.started"));
  const second = message({ name: "send", data: { text: "second" } });
  const held = second.to(other);
  await until(() => held.includes("ack"));
  expect(types()).not.toContain("turn.restarted");
  expect(types().filter((type) => type === "turn.completed")).toHaveLength(2);
});

test("I7: an owner that lives but was made to stop is asked, and its turn goes on elsewhere", async () => {
  const { stored, message, types, until, send, one, other } = open();
  send.to(one);
  await until(() => types().includes("turn.started"));
  // The other holds the message of the turn that waits; the one begins it with its own commit.
  const second = message({ name: "send", data: { text: "second" } });
  const held = second.to(other);
  await until(() => types().filter((type) => type === "turn.started").length === 2);
  one.host.lost(0);
  expect(one.host.running()).toBe(0);
  await until(() => held.includes("ack"));
  const events = stored.commits(ref).flatMap((commit) => commit.events);
  expect(events.find(({ type }) => type === "turn.restarted")?.data).toMatchObject({
    ...{ owner: other.id, attempt: 2, reason: "disowned" },
  });
  expect(types().filter((type) => type === "turn.completed")).toHaveLength(2);
});

test("I7: a process that is given its own command again while it runs only changes its handle", async () => {
  const { world, types, until, pass, send, one } = open();
  const first = send.to(one);
  await until(() => types().includes("turn.started") && first.includes("working"));
  const again = send.to(one);
  await until(() => again.includes("working"));
  const used = first.length;
  await until(() => again.includes("ack"));
  await pass(limits.ack_wait_ms);
  expect(first).toHaveLength(used);
  expect(first).not.toContain("ack");
  expect(types()).not.toContain("turn.restarted");
  expect(world.calls).toHaveLength(1);
});

test("I7: a lease that comes as a first delivery, since the server forgot the others, is not held for ever", async () => {
  const { stored, types, until, send, one, other } = open();
  send.to(one);
  await until(() => types().includes("turn.started"));
  one.host.lost(0);
  const held = send.first(other);
  await until(() => held.includes("ack"));
  const events = stored.commits(ref).flatMap((commit) => commit.events);
  expect(events.find(({ type }) => type === "turn.restarted")?.data).toMatchObject({
    ...{ owner: other.id, attempt: 2, reason: "disowned" },
  });
  expect(types().filter((type) => type === "turn.completed")).toHaveLength(1);
});

test("I2: I3: one id delivered to both at once, as one message or as two, makes one commit", async () => {
  const { stored, answers, message, types, until, send, one, other } = open();
  const twin = message({ name: "send", data: { text: "hello" } }, send.id);
  const mine = send.to(one);
  const theirs = twin.to(other);
  const both = twin.to(one);
  await until(() => [mine, theirs, both].every((used) => used.includes("ack")));
  expect(types().filter((type) => type === "message.added")).toHaveLength(1);
  expect(stored.commits(ref).filter(({ command }) => command === send.id)).toHaveLength(1);
  const said = [...answers(send), ...answers(twin)];
  expect(said).toHaveLength(3);
  for (const answer of said) expect(answer).toEqual(said[0]);
});

test("I4: I11: an idle actor leaves memory, and goes on from its log when it is asked again", async () => {
  const { stored, message, types, until, pass, send, one } = open();
  const first = send.to(one);
  await until(() => first.includes("ack"));
  expect(one.host.awake()).toBe(1);
  await pass(2 * limits.actor_idle_ms);
  expect(one.host.awake()).toBe(0);
  const { length } = types();
  const next = message({ name: "send", data: { text: "more" } }).to(one);
  await until(() => next.includes("ack"));
  expect(types().slice(length, length + 2)).toEqual(["message.added", "turn.started"]);
  // Sent again after all that, the first is still known.
  const again = send.to(one);
  await until(() => again.includes("ack"));
  expect(stored.commits(ref).filter(({ command }) => command === send.id)).toHaveLength(1);
});

test("I1: a refusal is decided on what the log says now, not on what this worker last saw", async () => {
  const { answers, message, types, until, send, one, other } = open();
  message({ name: "create", data: {} }).to(one);
  await until(() => types().includes("conversation.started"));
  message({ name: "update", data: { archived: true } }).to(one);
  await until(() => types().includes("conversation.archived"));
  // Another worker decides on it for a while; the first keeps its actor in memory.
  message({ name: "update", data: { archived: false } }).to(other);
  await until(() => types().includes("conversation.restored"));
  send.to(one);
  await until(() => answers(send).length > 0);
  expect(answers(send)).toMatchObject([{ ok: true }]);
  // Nor is "already so" said of what has changed since.
  const again = message({ name: "update", data: { archived: true } });
  again.to(other);
  await until(() => types().filter((type) => type === "conversation.archived").length === 2);
  const back = message({ name: "update", data: { archived: false } });
  back.to(one);
  await until(() => types().filter((type) => type === "conversation.restored").length === 2);
});
