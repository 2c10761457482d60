/** What one worker takes at most: actors in memory, turns of one tenant. */
import { expect, test } from "vitest";
import { createHost } from "../../actors/host.ts";
import type { Delivery, Ports } from "../../actors/ports.ts";
import type { NamedCommand } from "../../schemas/commands.ts";
import { empty_head, headOf } from "../../schemas/commit.ts";
import { type ActorRef, type Clock, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { steppedClock } from "./stepped-clock.ts";

/** A worker whose ports answer at once and whose model never does. */
function open(clock: Clock = { now: () => 0, after: () => () => undefined }) {
  /** The conversations of which a snapshot was taken. */
  const saved: string[] = [];
  const answered = new Map<string, string>();
  let sequence = 0;
  const nothing = (): void => undefined;
  const ports: Ports = {
    log: {
      append: async (draft, { revision, hash }) => {
        const place = { revision: revision + 1, prev: hash, sequence: ++sequence };
        const commit = { ...draft, ...place, hash: draft.commit, erased: false };
        return { ok: true, head: headOf(commit) };
      },
      // Nobody is loaded twice here.
      end: async () => empty_head,
      async *read() {},
    },
    snapshots: { load: async () => null, save: ({ id }) => void saved.push(id) },
    texts: { read: async (_ref, texts) => texts.map(() => ""), remember: nothing },
    tokens: { publish: nothing, published: () => Promise.reject(new Error("not asked for")) },
    workers: {
      id: "here",
      gone: () => false,
      changes: () => nothing,
      ask: async () => null,
      answer: () => nothing,
    },
    content: { erase: async () => undefined },
    replies: {
      answer: (subject, reply) => answered.set(subject, reply.ok ? "ok" : reply.error.code),
    },
    timers: { set: nothing },
    models: {
      route: () => ({ provider: "p", model: "m" }),
      list: () => [],
      countTokens: () => 0,
      estimate: () => ({ tokensIn: 0, tokensOut: 0, costUsd: "0.000000", estimated: true }),
      generate: async function* never() {
        await new Promise(() => undefined);
        yield { type: "text", text: "never" };
      },
    },
    title: () => "",
    clock,
    ids: systemIds,
    report: ({ what, error }) => {
      throw new Error(what, { cause: error });
    },
  };
  const host = createHost(ports);
  let given = 0;
  /** The conversation of each answer. */
  const ids = new Map<string, string>();
  /** Sends a command, to a new conversation unless one is named; names its answer. */
  const give = (command: NamedCommand, tenant = "acme", id: string = systemIds()): string => {
    const ref: ActorRef = { tenant, kind: "conversation", id };
    const reply = systemIds();
    const delivery: Delivery = {
      ...{ ref, id: reply, command, by: { type: "user", id: "ann" }, traceparent: null },
      ...{ reply, partition: 0, sequence: ++given, deliveries: 1 },
      ...{ ack: nothing, working: nothing, nak: nothing, dead: nothing },
    };
    host.deliver([delivery]);
    ids.set(reply, id);
    return reply;
  };
  /** Resolves when everything that can happen has. */
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return { host, answered, give, settled, ids, saved };
}

test("I11: 100,000 conversations pass through a worker, and no more than its limit stay in memory", async () => {
  const { host, answered, give, settled } = open();
  let most = 0;
  for (let count = 0; count < 100_000; count += 500) {
    for (let one = 0; one < 500; one++) give({ name: "create", data: {} });
    await settled();
    most = Math.max(most, host.awake());
  }
  expect(answered.size).toBe(100_000);
  expect(most).toBe(limits.actors_awake_max);
  expect(host.awake()).toBe(limits.actors_awake_max);
});

test("I1: I11: a partition that holds as many turns as it may refuses the next, and a cancel gets through", async () => {
  const { host, answered, give, settled, ids } = open();
  const send: NamedCommand = { name: "send", data: { text: "hello" } };
  const most = limits.turns_running_per_partition_max + limits.turns_queued_per_partition_max;
  expect(most).toBeLessThan(limits.ack_pending_max);
  const answers: string[] = [];
  for (let count = 0; count < most; count++) {
    // Each tenant has its own limit, which is lower.
    answers.push(give(send, `tenant-${count % 4}`));
    if (count % 500 === 0) await settled();
  }
  await settled();
  expect(host.running()).toBe(most);
  const late = give(send, "tenant-5");
  const [first = ""] = answers;
  const cancel = give({ name: "cancel", data: {} }, "tenant-0", ids.get(first));
  await settled();
  expect(answered.get(late)).toBe("overloaded");
  expect(answered.get(cancel)).toBe("ok");
  expect(host.running()).toBe(most - 1);
});

test("I10: one tenant runs no more turns of a worker than it may, and disturbs no other", async () => {
  const { host, answered, give, settled } = open();
  const send: NamedCommand = { name: "send", data: { text: "hello" } };
  const most = limits.turns_running_per_tenant_max;
  // All at once: what is about to begin counts, too.
  const ids = Array.from({ length: most + 100 }, () => give(send));
  await settled();
  expect(host.running()).toBe(most);
  const codes = ids.map((id) => answered.get(id));
  expect(codes.filter((code) => code === "ok")).toHaveLength(most);
  expect(codes.filter((code) => code === "tenant_busy")).toHaveLength(100);
  const other = give(send, "globex");
  await settled();
  expect(answered.get(other)).toBe("ok");
  expect(host.running()).toBe(most + 1);
});

test("I10: one tenant's turns, those that wait included, leave room in a partition for another's", async () => {
  const { host, answered, give, settled } = open();
  const send: NamedCommand = { name: "send", data: { text: "hello" } };
  const most = limits.turns_running_per_partition_max + limits.turns_queued_per_partition_max;
  const each = 1 + limits.turns_queued_per_conversation_max;
  const codes = new Map<string, number>();
  for (let count = 0; count < most; count += each) {
    const conversation = systemIds();
    const ids = Array.from({ length: each }, () => give(send, "acme", conversation));
    await settled();
    for (const id of ids) {
      const code = answered.get(id) ?? "none";
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  }
  expect(host.running()).toBeLessThan(limits.turns_running_per_tenant_max);
  expect(codes.get("ok")).toBe(most / 2);
  expect([...codes.keys()].toSorted()).toEqual(["ok", "tenant_busy"]);
  const other = give(send, "globex");
  await settled();
  expect(answered.get(other)).toBe("ok");
});

test("a conversation that rests leaves a snapshot, and a deleted one leaves nothing", async () => {
  const clock = steppedClock();
  const { host, give, settled, saved } = open(clock);
  const [kept, gone] = [systemIds(), systemIds()];
  for (const id of [kept, gone]) {
    give({ name: "create", data: {} }, "acme", id);
    for (let title = 0; title < limits.snapshot_tail_events; title++) {
      give({ name: "update", data: { title: `title ${title}` } }, "acme", id);
    }
  }
  give({ name: "delete", data: {} }, "acme", gone);
  for (let turns = 0; turns < 100; turns++) await settled();
  expect([host.awake(), saved]).toEqual([2, []]);
  clock.step(2 * limits.actor_idle_ms);
  expect([host.awake(), saved]).toEqual([0, [kept]]);
});
