/** The command queue: nothing acknowledged is lost, whoever dies and whatever is sent (I1, I10). */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { headers } from "@nats-io/transport-node";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Reply } from "../../schemas/commands.ts";
import { type ActorRef, systemClock, systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandSubject } from "../../schemas/subjects.ts";
import { bySigner } from "../../streams/queue/by.ts";
import {
  type CommandPublisher,
  commandPublisher,
  type OutgoingCommand,
} from "../../streams/queue/commands.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { consumeCommands, type CommandQueue, type Delivery } from "../../streams/queue/queue.ts";
import { joinWorkers, type Workers } from "../../streams/queue/workers.ts";
import { newRef, partitions, secret, startSystem, type System } from "./system.ts";

let system: System;
let publisher: CommandPublisher;
const ends: (() => Promise<void> | void)[] = [];
beforeEach(async () => {
  system = await startSystem();
  await ensureConsumers(system.streams, partitions);
  publisher = commandPublisher(system.streams, secret);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await system.stop();
});

/** A worker in this process that keeps what it gets. */
interface Worker {
  readonly queue: CommandQueue;
  readonly workers: Workers;
  readonly got: Delivery[];
  /** How much came in one go. */
  readonly goes: number[];
  readonly lost: number[];
  readonly problems: string[];
}

async function work(onDelivery: (delivery: Delivery) => void = (d) => d.ack()): Promise<Worker> {
  const { streams } = await system.client();
  const workers = await joinWorkers(streams, { id: systemIds(), clock: systemClock });
  const worker = {
    got: [] as Delivery[],
    goes: [] as number[],
    lost: [] as number[],
    problems: [] as string[],
  };
  const queue = consumeCommands({
    streams,
    secret,
    worker: workers,
    partitions,
    report: ({ what, error }) => worker.problems.push(`${what}: ${String(error)}`),
    inbox: {
      deliver(deliveries) {
        worker.goes.push(deliveries.length);
        worker.got.push(...deliveries);
        for (const delivery of deliveries) onDelivery(delivery);
      },
      lost: (partition) => worker.lost.push(partition),
    },
  });
  ends.push(async () => {
    await queue.stop();
    await workers.leave();
  });
  return { ...worker, queue, workers };
}

const command = (ref: ActorRef, more: Partial<OutgoingCommand> = {}): OutgoingCommand => ({
  ref,
  name: "cancel",
  id: systemIds(),
  data: {},
  by: { type: "user", id: "ann" },
  reply: null,
  traceparent: null,
  ...more,
});
async function send(ref = newRef(), more: Partial<OutgoingCommand> = {}): Promise<string> {
  const outgoing = command(ref, more);
  await publisher.publish(outgoing);
  return outgoing.id;
}
const idsOf = (worker: Pick<Worker, "got">): string[] => worker.got.map(({ id }) => id).sort();
const waiting = async (): Promise<number> =>
  (await system.streams.jsm.streams.info("COMMANDS")).state.messages;
const dead = async (): Promise<number> =>
  (await system.streams.jsm.streams.info("DEAD")).state.messages;

test("I1: commands reach the one worker, with who sent them, and are gone once acked", async () => {
  const worker = await work();
  const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const ref = newRef();
  const id = await send(ref, {
    name: "send",
    data: { text: "Hi" },
    traceparent: trace,
    reply: "reply.acme.me",
  });
  const others = await Promise.all(Array.from({ length: 50 }, () => send()));
  await expect.poll(() => idsOf(worker)).toEqual([id, ...others].sort());
  expect(worker.got.find((delivery) => delivery.id === id)).toMatchObject({
    ref,
    command: { name: "send", data: { text: "Hi" } },
    by: { type: "user", id: "ann" },
    traceparent: trace,
    reply: "reply.acme.me",
    deliveries: 1,
  });
  await expect.poll(waiting).toBe(0);
  expect(worker.queue.owned()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(worker.problems).toEqual([]);
});

test("a command without a signature is by its tenant's integration", async () => {
  const worker = await work();
  const payload = JSON.stringify({ id: systemIds(), data: {} });
  await system.streams.js.publish(commandSubject(newRef("zeta"), "cancel"), payload);
  await expect
    .poll(() => worker.got.map(({ by }) => by))
    .toEqual([{ type: "integration", id: "zeta" }]);
});

test("what waited is handed over in one go", async () => {
  const ids = await Promise.all(Array.from({ length: 40 }, () => send()));
  const worker = await work();
  await expect.poll(() => idsOf(worker)).toEqual(ids.sort());
  expect(worker.goes.length).toBeLessThanOrEqual(partitions);
});

test("I1: what is held stays held, and what is not renewed is delivered again", async () => {
  const held: Delivery[] = [];
  const worker = await work((delivery) => {
    if (delivery.command.name === "send") held.push(delivery);
  });
  const renewing = setInterval(() => held[0]?.working(), limits.working_ms);
  ends.push(() => clearInterval(renewing));
  const id = await send(newRef(), { name: "send", data: { text: "long turn" } });
  const dropped = await send();
  await expect
    .poll(() => worker.got.filter((d) => d.id === dropped).length, { timeout: 9_000 })
    .toBe(3);
  expect(worker.got.filter((d) => d.id === dropped).map((d) => d.deliveries)).toEqual([1, 2, 3]);
  expect(worker.got.filter((d) => d.id === id)).toHaveLength(1);
  held[0]?.ack();
  // A handle that is past its time does nothing: the message may be another's.
  worker.got.find((d) => d.id === dropped)?.ack();
  await expect
    .poll(() => worker.got.filter((d) => d.id === dropped).length, { timeout: 9_000 })
    .toBe(4);
  worker.got.at(-1)?.ack();
  await expect.poll(waiting).toBe(0);
});

test("a command that is given back comes again after its time", async () => {
  const worker = await work((delivery) => {
    if (delivery.deliveries === 1) delivery.nak(100);
    else delivery.ack();
  });
  const id = await send();
  await expect
    .poll(() => worker.got.map((d) => [d.id, d.deliveries]))
    .toEqual([
      [id, 1],
      [id, 2],
    ]);
});

/** Published as a stranger would, each refused with its code. */
const poison: [string, (send: Forger) => Promise<unknown>, string, boolean][] = [
  ["bad JSON", (forge) => forge({ payload: "{" }), "bad_json", false],
  ["no object", (forge) => forge({ payload: "[1]" }), "bad_request", false],
  [
    "an id that is none",
    (forge) => forge({ payload: '{"id":"7","data":{}}' }),
    "bad_request",
    false,
  ],
  [
    "unknown keys",
    (forge, id = systemIds()) => forge({ id, payload: JSON.stringify({ id, data: {}, more: 1 }) }),
    "bad_request",
    true,
  ],
  [
    "data that does not fit",
    (forge) => forge({ name: "send", data: { text: "" } }),
    "bad_request",
    true,
  ],
  ["an unknown name", (forge) => forge({ name: "explode" }), "unknown_command", true],
  ["a report from outside", (forge) => forge({ name: "takeover" }), "unknown_command", true],
  [
    "a kind without commands",
    (forge) => forge({ subject: `cmd.acme.document.${systemIds()}.send` }),
    "unknown_command",
    true,
  ],
  [
    "no tenant's slug",
    (forge) => forge({ subject: `cmd.ACME.conversation.${systemIds()}.cancel` }),
    "bad_request",
    false,
  ],
  [
    "no actor's id",
    (forge) => forge({ subject: "cmd.acme.conversation.x.cancel" }),
    "bad_request",
    false,
  ],
  [
    "another tenant's reply subject",
    (forge) => forge({ reply: "reply.zeta.me" }),
    "bad_reply_subject",
    false,
  ],
  [
    "a reply into the system",
    (forge) => forge({ reply: "$JS.API.STREAM.DELETE.EVENTS" }),
    "bad_reply_subject",
    false,
  ],
  ["garbage as signature", (forge) => forge({ by: "x.y.z" }), "unauthenticated", true],
  [
    "a signature of another secret",
    async (forge, id = systemIds()) =>
      forge({ id, by: bySigner(new Uint8Array(32)).sign(root, "acme", id) }),
    "unauthenticated",
    true,
  ],
  [
    "a signature for another command",
    async (forge) => forge({ by: bySigner(secret).sign(root, "acme", systemIds()) }),
    "unauthenticated",
    true,
  ],
  [
    "a signature for another tenant",
    async (forge, id = systemIds()) => forge({ id, by: bySigner(secret).sign(root, "zeta", id) }),
    "unauthenticated",
    true,
  ],
];
const root = { type: "user", id: "root" } as const;

interface Forged {
  readonly id?: string;
  readonly subject?: string;
  readonly name?: string;
  readonly data?: object;
  readonly payload?: string;
  readonly by?: string;
  readonly reply?: string;
}
type Forger = (message: Forged) => Promise<{ id: string; seq: number }>;

const forge: Forger = async ({ id = systemIds(), name = "cancel", data = {}, ...more }) => {
  const made = headers();
  made.set("Colloquy-Reply", more.reply ?? "reply.acme.poison");
  if (more.by !== undefined) made.set("Colloquy-By", more.by);
  const subject = more.subject ?? commandSubject(newRef(), name);
  const payload = more.payload ?? JSON.stringify({ id, data });
  const { seq } = await system.streams.js.publish(subject, payload, { headers: made });
  return { id, seq };
};

test("I1: poison is answered if it can be, buried with its reason, and disturbs nobody", async () => {
  const worker = await work();
  // Before anything is published: an answer may be here before the publisher's own is.
  const answers = new Map<string, Reply>();
  system.streams.nc.subscribe("reply.acme.poison", {
    callback(_, message) {
      const reply = message.json<Reply>();
      answers.set(reply.command, reply);
    },
  });
  const foreign: string[] = [];
  system.streams.nc.subscribe("reply.zeta.>", {
    callback: (_, { subject }) => void foreign.push(subject),
  });
  const expected: { code: string; seq: number; answered: string | null }[] = [];
  for (const [, publish, code, answerable] of poison) {
    const { id, seq } = (await publish(forge)) as { id: string; seq: number }; // what `forge` gives
    expected.push({ code, seq, answered: answerable ? id : null });
    await send();
  }
  await expect.poll(dead).toBe(poison.length);
  await expect.poll(() => worker.got.length).toBe(poison.length);
  await expect.poll(waiting).toBe(0);
  const letters = new Map<number, string>();
  for (let seq = 1; seq <= poison.length; seq++) {
    const letter = await system.streams.jsm.streams.getMessage("DEAD", { seq });
    letters.set(
      Number(letter?.header.get("Colloquy-Sequence")),
      letter?.header.get("Colloquy-Code") ?? "",
    );
    expect(letter?.header.get("Colloquy-Reason")).not.toBe("");
    expect(letter?.header.get("Original-Colloquy-Reply")).not.toBe("");
  }
  for (const [index, { code, seq, answered }] of expected.entries()) {
    expect(letters.get(seq), poison[index]?.[0]).toBe(code);
    if (answered !== null) {
      expect(answers.get(answered), poison[index]?.[0]).toMatchObject({
        ok: false,
        error: { code },
      });
    }
  }
  expect(answers.size).toBe(poison.filter(([, , , answerable]) => answerable).length);
  expect(foreign).toEqual([]);
  expect(worker.problems).toEqual([]);
});

test("I1: what the host gives up is in the dead letters before it leaves the queue", async () => {
  const worker = await work((delivery) =>
    delivery.dead("command_dead", "tried 4 times\nin vain 🙂"),
  );
  const ref = newRef();
  const id = await send(ref, { name: "send", data: { text: "Grüße" } });
  await expect.poll(dead).toBe(1);
  await expect.poll(waiting).toBe(0);
  const letter = await system.streams.jsm.streams.getMessage("DEAD", { seq: 1 });
  expect(letter?.subject).toBe(`dead.commands.acme.conversation.${ref.id}`);
  expect(letter?.json()).toEqual({ id, data: { text: "Grüße" } });
  expect(letter?.header.get("Colloquy-Code")).toBe("command_dead");
  expect(letter?.header.get("Colloquy-Reason")).toMatch(/^tried 4 times\?in vain/);
  expect(worker.got).toHaveLength(1);
});

test("a command that is too large is refused before it is stored", async () => {
  const text = "x".repeat(limits.command_bytes_max);
  await expect(send(newRef(), { name: "send", data: { text } })).rejects.toMatchObject({
    code: "too_large",
  });
  const huge = "x".repeat(limits.command_bytes_max + 64 * 1024);
  await expect(forge({ payload: huge })).rejects.toThrow("maximum");
  expect(await waiting()).toBe(0);
});

/** A worker process; its deliveries by command id, and what it complains of. */
async function child(): Promise<{
  process: ChildProcess;
  seen: Map<string, number>;
  complaints: string[];
}> {
  const file = new URL("./worker-child.ts", import.meta.url).pathname;
  const args = [file, system.server.url, secret.toString("hex")];
  const running = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const complaints: string[] = [];
  createInterface({ input: running.stderr }).on("line", (line) => complaints.push(line));
  const gone = new Promise<void>((resolve) => running.once("exit", () => resolve()));
  ends.push(async () => {
    running.kill("SIGKILL");
    await gone;
  });
  const seen = new Map<string, number>();
  await new Promise<void>((ready) => {
    createInterface({ input: running.stdout }).on("line", (line) => {
      const said = JSON.parse(line) as { ready?: string; id?: string; count?: number }; // our own
      if (said.ready !== undefined) ready();
      if (said.id !== undefined) seen.set(said.id, said.count ?? 0);
    });
  });
  return { process: running, seen, complaints };
}

test("I7: when a worker is killed, another gets the new commands, and the held ones after ack_wait", async () => {
  const dying = await child();
  const refs = Array.from({ length: 24 }, () => newRef());
  const text = { name: "send", data: { text: "hold me" } };
  const held = await Promise.all(refs.map((ref) => send(ref, text)));
  await expect.poll(() => dying.seen.size, { timeout: 9_000 }).toBe(held.length);
  const worker = await work();
  // Held ones stay where they are while their owner lives and renews them.
  const fresh = await Promise.all(refs.map((ref) => send(ref)));
  const allSeen = (): number => worker.got.length + dying.seen.size;
  await expect.poll(allSeen, { timeout: 9_000 }).toBe(held.length + fresh.length);
  for (const id of held) expect(idsOf(worker)).not.toContain(id);

  dying.process.kill("SIGKILL");
  const later = await Promise.all(refs.map((ref) => send(ref)));
  await expect
    .poll(() => [...later, ...held].filter((id) => !idsOf(worker).includes(id)), {
      timeout: 15_000,
    })
    .toEqual([]);
  expect(worker.got.filter(({ id }) => held.includes(id)).every((d) => d.deliveries > 1)).toBe(
    true,
  );
  await expect.poll(waiting, { timeout: 9_000 }).toBe(0);
}, 60_000);

test("I7: a process that stood still takes nothing that lay in its buffers, and pulls anew", async () => {
  const stalling = await child();
  const probe = await send();
  await expect.poll(() => stalling.seen.has(probe), { timeout: 9_000 }).toBe(true);
  stalling.process.kill("SIGSTOP");
  // All of it goes into the buffers of the pinned process first.
  const sent = await Promise.all(Array.from({ length: 24 }, () => send()));
  const other = await work();
  await expect.poll(waiting, { timeout: 20_000 }).toBe(0);
  expect(sent.filter((id) => !idsOf(other).includes(id))).toEqual([]);

  stalling.process.kill("SIGCONT");
  const told = (): boolean => stalling.complaints.some((line) => line.includes("stood still"));
  await expect.poll(told, { timeout: 9_000 }).toBe(true);
  // It takes part again.
  const shares = async (): Promise<boolean> => {
    const id = await send();
    await expect.poll(waiting, { timeout: 9_000 }).toBe(0);
    return stalling.seen.has(id);
  };
  await expect.poll(shares, { timeout: 20_000, interval: 100 }).toBe(true);
  expect(sent.filter((id) => stalling.seen.has(id))).toEqual([]);
}, 60_000);

test("two workers share the partitions, and each command goes to one of them", async () => {
  const one = await work();
  const two = await work();
  const balanced = async (): Promise<boolean> => {
    await Promise.all(Array.from({ length: 32 }, () => send()));
    const [a, b] = [one.queue.owned(), two.queue.owned()];
    return (
      a.length < partitions && b.length < partitions && new Set([...a, ...b]).size === partitions
    );
  };
  await expect.poll(balanced, { timeout: 20_000, interval: 250 }).toBe(true);
  await expect.poll(waiting, { timeout: 9_000 }).toBe(0);
  const ids = [...idsOf(one), ...idsOf(two)];
  expect(ids.length).toBeGreaterThan(0);
  expect(one.workers.members()).toEqual(two.workers.members());
  // What is handed over is delivered once; only the socket that was let go may cost a redelivery.
  const doubled = ids.length - new Set(ids).size;
  expect(doubled).toBe(0);
}, 60_000);

test("a worker that lost the connection drops what it held, and is not gone for itself", async () => {
  const worker = await work(() => undefined);
  await send();
  await expect.poll(() => worker.got.length).toBe(1);
  await system.server.kill9();
  await expect.poll(() => worker.lost.length, { timeout: 9_000 }).toBeGreaterThan(0);
  expect(worker.queue.owned()).toEqual([]);
  expect(worker.workers.gone(worker.workers.id)).toBe(false);
});
