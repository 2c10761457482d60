/** The dead letters as an operator handles them, whatever lies there (I1, I2, I10). */
import { headers, type MsgHdrs } from "@nats-io/transport-node";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type ActorRef, systemIds } from "../../schemas/ids.ts";
import { deadSubject } from "../../schemas/subjects.ts";
import {
  dropLetter,
  dropLetters,
  type Letter,
  letterAt,
  readLetters,
  resend,
} from "../../streams/queue/letters.ts";
import { newRef, startSystem, type System } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());
beforeEach(async () => {
  await system.streams.jsm.streams.purge("DEAD");
  await system.streams.jsm.streams.purge("COMMANDS");
});

interface Forged {
  readonly ref?: ActorRef;
  readonly subject?: string;
  readonly at?: string;
  readonly command?: string;
  readonly payload?: string | Uint8Array;
  readonly more?: Readonly<Record<string, string>>;
}

/** Puts a letter there as `bury` would, or as nobody should. */
async function put({ ref = newRef(), command = systemIds(), ...of }: Forged = {}): Promise<number> {
  const made = headers();
  const fields = {
    "Colloquy-Code": "command_dead",
    "Colloquy-Reason": "it failed",
    "Colloquy-Command": command,
    "Colloquy-Subject": of.subject ?? `cmd.3.${ref.tenant}.${ref.kind}.${ref.id}.cancel`,
    "Colloquy-Deliveries": "4",
    ...of.more,
  };
  for (const [name, value] of Object.entries(fields)) made.set(name, value);
  const payload = of.payload ?? JSON.stringify({ id: command, data: {} });
  const { seq } = await system.streams.js.publish(of.at ?? deadSubject("commands", ref), payload, {
    headers: made,
  });
  return seq;
}
async function letters(tenant: string | null = null): Promise<Letter[]> {
  const found: Letter[] = [];
  for await (const { letter } of readLetters(system.streams, tenant)) found.push(letter);
  return found;
}
const queued = async (): Promise<{ subject: string; header: MsgHdrs; text: string }[]> => {
  const { state } = await system.streams.jsm.streams.info("COMMANDS");
  const found = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await system.streams.jsm.streams.getMessage("COMMANDS", { seq });
    if (message !== null)
      found.push({ subject: message.subject, header: message.header, text: message.string() });
  }
  return found;
};
const quick = { inbox: "operator", wait_ms: 0 };

test("letters are read in order, a tenant's alone when it is named, and more than one batch", async () => {
  for (let count = 0; count < 600; count++) {
    await put({ ref: newRef(count % 2 === 0 ? "acme" : "zeta") });
  }
  const all = await letters();
  expect(all).toHaveLength(600);
  expect(all.map(({ sequence }) => sequence)).toEqual(
    all.map(({ sequence }) => sequence).sort((one, other) => one - other),
  );
  const zeta = await letters("zeta");
  expect(zeta).toHaveLength(300);
  expect(new Set(zeta.map(({ ref }) => ref?.tenant))).toEqual(new Set(["zeta"]));
  const [first] = all;
  expect(await letterAt(system.streams, null, first?.sequence ?? 0)).toMatchObject({
    command: first?.command,
  });
  expect(await letterAt(system.streams, "zeta", first?.sequence ?? 0)).toBe(null);
  expect(await letterAt(system.streams, null, 1_000_000)).toBe(null);
  expect(await letterAt(system.streams, null, 0)).toBe(null);
});

test("I2: what is sent again is the command as it was, and no window swallows it", async () => {
  const ref = newRef();
  const command = systemIds();
  const more = {
    "Original-Colloquy-By": "a.b.c",
    "Original-Colloquy-Reply": "reply.acme.me",
    "Original-traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "Original-Nats-Msg-Id": "swallow-me",
    "Original-Nats-Schedule": "@every 1s",
    "Nats-Msg-Id": "letter",
  };
  const sequence = await put({ ref, command, more });
  const letter = await letterAt(system.streams, null, sequence);
  if (letter === null) throw new Error("no letter");
  // Three times within the shortest window that the server has.
  for (let count = 0; count < 3; count++) {
    expect(await resend(system.streams, letter, quick)).toBe(null);
  }
  const found = await queued();
  expect(found).toHaveLength(3);
  for (const { subject, header, text } of found) {
    expect(subject).toMatch(new RegExp(`^cmd\\.[0-7]\\.acme\\.conversation\\.${ref.id}\\.cancel$`));
    expect(JSON.parse(text)).toEqual({ id: command, data: {} });
    expect(Object.fromEntries([...header.keys()].map((name) => [name, header.get(name)]))).toEqual({
      "Colloquy-By": "a.b.c",
      "Colloquy-Reply": "reply.acme.me",
      traceparent: more["Original-traceparent"],
    });
  }
  expect(await letters()).toEqual([]);
});

/** What lies in DEAD although nothing of ours would put it there, and why it is stuck. */
const hostile: [string, () => Forged, string | null][] = [
  ["no headers at all", () => ({ more: { "Colloquy-Subject": "" } }), "not that of a command"],
  ["the log's subject", () => ({ subject: `evt.acme.conversation.${systemIds()}` }), "not that of"],
  ["the server's subject", () => ({ subject: "$JS.API.STREAM.DELETE.EVENTS" }), "not that of"],
  ["a wildcard", () => ({ subject: "cmd.1.*.conversation.>.send" }), "not that of"],
  [
    "another's actor",
    () => ({ subject: `cmd.1.zeta.conversation.${systemIds()}.send` }),
    "names another actor",
  ],
  ["no actor in its place", () => ({ at: deadSubject("commands", null) }), "names another actor"],
  ["of another origin", () => ({ at: `dead.feed.acme.conversation.${systemIds()}` }), "no command"],
  ["cut", () => ({ more: { "Colloquy-Truncated": "9000000" } }), "too large"],
  ["bytes", () => ({ command: "x", payload: new Uint8Array([0, 255, 10, 27]) }), "payload is not"],
  ["an id that is none", () => ({ command: "", payload: '{"id":7}' }), "payload is not"],
  [
    "an answer into the system",
    () => ({ more: { "Original-Colloquy-Reply": "$JS.API.STREAM.DELETE.EVENTS" } }),
    "answer would go",
  ],
  [
    "an answer to all",
    () => ({ more: { "Original-Colloquy-Reply": "reply.acme.>" } }),
    "answer would go",
  ],
  ["numbers that are none", () => ({ more: { "Colloquy-Deliveries": "-1e999" } }), null],
  ["a time that is none", () => ({ more: { "Colloquy-Stored": "\u001b[2Jnever" } }), null],
  ["an id in the payload alone", () => ({ more: { "Colloquy-Command": "" } }), null],
];

test("I10: whatever lies there can be read and dropped, and only a whole command of its own actor is sent again", async () => {
  await system.streams.js.publish("dead.commands.unknown.unknown.unknown", "");
  for (const [, forge] of hostile) await put(forge());
  const [bare, ...found] = await letters();
  expect(bare).toMatchObject({ ref: null, code: "unknown", command: null, bytes: 0 });
  expect(found).toHaveLength(hostile.length);
  let sent = 0;
  for (const [at, letter] of found.entries()) {
    const [what, , why] = hostile[at] ?? [];
    if (why === null) {
      expect(letter.stuck, what).toBe(null);
      await resend(system.streams, letter, quick);
      sent += 1;
    } else {
      expect(letter.stuck, what).toContain(why);
      await expect(resend(system.streams, letter, quick), what).rejects.toMatchObject({
        code: "bad_request",
      });
      await dropLetter(system.streams, letter.sequence);
    }
    expect(letter.deliveries).toBeGreaterThanOrEqual(0);
  }
  expect(await queued()).toHaveLength(sent);
  expect((await letters()).map(({ sequence }) => sequence)).toEqual([bare?.sequence]);
  expect((await system.streams.jsm.streams.info("EVENTS")).state.messages).toBe(0);
});

test("letters are dropped one, an actor's, a tenant's, or all; what is gone already is no error", async () => {
  const ref = newRef();
  const one = await put({ ref });
  await dropLetter(system.streams, one);
  await dropLetter(system.streams, one);
  await put({ ref });
  await put({ ref });
  await put();
  await put({ ref: newRef("zeta") });
  expect(await dropLetters(system.streams, ref)).toBe(2);
  expect(await dropLetters(system.streams, "zeta")).toBe(1);
  expect((await letters()).map((letter) => letter.ref?.tenant)).toEqual(["acme"]);
  expect(await dropLetters(system.streams, null)).toBe(1);
  expect(await dropLetters(system.streams, null)).toBe(0);
});

test("where there never was a letter, there is none", async () => {
  const { jsm } = system.streams;
  await jsm.streams.delete("DEAD");
  expect(await letters()).toEqual([]);
  expect(await letterAt(system.streams, null, 1)).toBe(null);
  expect(await dropLetters(system.streams, null)).toBe(0);
});
