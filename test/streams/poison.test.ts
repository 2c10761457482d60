/** What the command queue cannot take: refused with its code, buried with its reason (I1, I10). */
import { headers } from "@nats-io/transport-node";
import { expect, test } from "vitest";
import type { Reply } from "../../schemas/commands.ts";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { commandSubject } from "../../schemas/subjects.ts";
import { bySigner } from "../../streams/queue/by.ts";
import { startQueueDesk } from "./queue-desk.ts";
import { newRef, secret } from "./system.ts";

const desk = startQueueDesk();

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
  const { system } = desk();
  const made = headers();
  made.set("Colloquy-Reply", more.reply ?? "reply.acme.poison");
  if (more.by !== undefined) made.set("Colloquy-By", more.by);
  const subject = more.subject ?? commandSubject(newRef(), name);
  const payload = more.payload ?? JSON.stringify({ id, data });
  const { seq } = await system.streams.js.publish(subject, payload, { headers: made });
  return { id, seq };
};

test("I1: poison is answered if it can be, buried with its reason, and disturbs nobody", async () => {
  const { dead, send, system, waiting, work } = desk();
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
  const { dead, send, system, waiting, work } = desk();
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
  const { send, waiting } = desk();
  const text = "x".repeat(limits.command_bytes_max);
  await expect(send(newRef(), { name: "send", data: { text } })).rejects.toMatchObject({
    code: "too_large",
  });
  const huge = "x".repeat(limits.command_bytes_max + 64 * 1024);
  await expect(forge({ payload: huge })).rejects.toThrow("maximum");
  expect(await waiting()).toBe(0);
});
