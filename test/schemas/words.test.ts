/** The vocabulary under hostile input: nothing throws, nothing addresses more than itself. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { publicCommands } from "../../schemas/commands/conversation.ts";
import { isPublicCommand, parseCommand } from "../../schemas/commands.ts";
import { clientFrameChecks } from "../../schemas/frames.ts";
import { type ActorRef, isTenant, isUserId, isUuid, kinds, uuidv7 } from "../../schemas/ids.ts";
import {
  commandSubject,
  eventSubject,
  kvKey,
  liveSubject,
  mayReplyTo,
  parseEventSubject,
  parseStoredCommand,
  replySubject,
} from "../../schemas/subjects.ts";
import { cutFrames } from "../../schemas/tokens.ts";
import { check, nestsDeeper, parseJson } from "../../schemas/validate.ts";
import { commandMessage } from "../../schemas/commands.ts";

const tenants = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/);
const refs: fc.Arbitrary<ActorRef> = fc.record({
  tenant: tenants,
  kind: fc.constantFrom(...kinds),
  id: fc.uuid(),
});

test("a subject parses to the actor it was built from", () => {
  fc.assert(
    fc.property(refs, fc.nat(63), (ref, partition) => {
      expect(parseEventSubject(eventSubject(ref))).toEqual(ref);
      const stored = commandSubject(ref, "send").replace(/^cmd\./, `cmd.${partition}.`);
      expect(parseStoredCommand(stored)).toEqual({ ref, name: "send", partition });
    }),
  );
});

test("I10: no text makes a subject or a key that reaches beyond its own actor", () => {
  const hostile = fc.oneof(
    fc.string(),
    fc.constantFrom("*", ">", "a.b", "", " ", "acme\n", "acme.>", "ACME", "acme\u0000", "ａcme"),
  );
  fc.assert(
    fc.property(hostile, hostile, (tenant, id) => {
      const ref: ActorRef = { tenant, kind: "conversation", id };
      const fits = isTenant(tenant) && isUuid(id);
      for (const make of [eventSubject, kvKey, (one: ActorRef) => commandSubject(one, "send")]) {
        if (fits) expect(make(ref)).not.toMatch(/[*>\s]/);
        else expect(() => make(ref)).toThrow(TypeError);
      }
    }),
  );
});

test("I10: replies go only to the command's own tenant", () => {
  fc.assert(
    fc.property(
      tenants,
      tenants,
      fc.stringMatching(/^[A-Za-z0-9_-]{1,30}$/),
      (own, other, inbox) => {
        expect(mayReplyTo(own, replySubject(own, inbox))).toBe(true);
        if (own !== other) expect(mayReplyTo(own, replySubject(other, inbox))).toBe(false);
      },
    ),
  );
  for (const subject of [
    "reply.acme",
    "reply.acme.>",
    "reply.acme.*",
    "reply.acme..a",
    "evt.acme.a",
  ]) {
    expect(mayReplyTo("acme", subject)).toBe(false);
  }
});

test("garbage is refused with one short sentence, whatever it is", () => {
  const frames = Object.values(clientFrameChecks);
  fc.assert(
    fc.property(fc.anything({ withNullPrototype: true, withBigInt: true }), (value) => {
      for (const frame of [...frames, commandMessage]) {
        const parsed = frame.parse(value);
        if (!parsed.ok) expect(parsed.problem.length).toBeLessThanOrEqual(200);
      }
      for (const name of Object.keys(publicCommands)) {
        if (isPublicCommand(name)) parseCommand(name, value);
      }
    }),
    { numRuns: 300 },
  );
});

test("a thousand unknown keys and a deep nest are refused like any other mistake", () => {
  const keys = Object.fromEntries(Array.from({ length: 1_000 }, (_, at) => [`key${at}`, at]));
  const frame = { type: "ping", ...keys };
  expect(clientFrameChecks.ping.parse(frame)).toMatchObject({ ok: false });
  const deep = parseJson(`${"[".repeat(5_000)}${"]".repeat(5_000)}`);
  expect(clientFrameChecks.send.parse({ type: "send", text: deep })).toMatchObject({ ok: false });
  expect(parseJson(`${"[".repeat(5_000)}`)).toBe(undefined);
});

test("names of the prototype are not commands", () => {
  for (const name of ["constructor", "__proto__", "toString", "hasOwnProperty"]) {
    expect(isPublicCommand(name)).toBe(false);
  }
});

test("ids are UUIDv7, sorted by time, and only lowercase ones pass", () => {
  fc.assert(
    fc.property(fc.nat(2 ** 47), (now_ms) => {
      const id = uuidv7(now_ms);
      expect(isUuid(id)).toBe(true);
      expect(id[14]).toBe("7");
      expect(Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)).toBe(now_ms);
      expect(isUuid(id.toUpperCase()) && /[a-f]/.test(id)).toBe(false);
    }),
  );
  for (const user of ["", ".a", "a b", "a/b", "a".repeat(129)]) expect(isUserId(user)).toBe(false);
});

test("I5: frames cut from a text by their lengths are that text again", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1 })), (parts) => {
      const record = { lengths: parts.map(({ length }) => length), times: parts.map(() => 0) };
      const frames = cutFrames(parts.join(""), record, "t", 1, 5);
      expect(frames.map(({ d }) => d)).toEqual(parts);
      expect(frames.map(({ s }) => s)).toEqual(parts.map((_, at) => at + 5));
    }),
  );
});

test("a check says where a value goes wrong", () => {
  const parsed = check(publicCommands.send).parse({ text: 7 });
  expect(parsed).toMatchObject({ ok: false });
  expect(parsed.ok ? "" : parsed.problem).toContain("text");
});

test("I10: a subject that parses is the one that its actor is addressed by, and no other", () => {
  const token = fc.oneof(
    fc.string(),
    fc.uuid(),
    fc.constantFrom("cmd", "evt", "live", "acme", "conversation", "send", "7", "", "*", ">", "07"),
  );
  const some = fc.array(token, { maxLength: 2 });
  const name = fc.constantFrom("send", "cancel", "SEND", "");
  const partition = fc.constantFrom("0", "63", "07", "x", "", "-1");
  const subjects = fc
    .tuple(
      fc.constantFrom(["evt"], ["live"], ["cmd"], ["cmd", "*"], []),
      partition,
      fc.tuple(tenants, fc.constantFrom(...kinds, "turn"), fc.uuid()),
      fc.constantFrom<string[]>([], ["name"]),
      name,
      fc.oneof(fc.constant([]), some),
    )
    .map(([root, number, actor, named, word, tail]) => {
      const head = root[0] === "cmd" && root.length === 1 ? ["cmd", number] : root;
      return [...head, ...actor, ...named.map(() => word), ...tail].join(".");
    });
  fc.assert(
    fc.property(subjects, (subject) => {
      const ref = parseEventSubject(subject);
      if (ref !== null) expect([eventSubject(ref), liveSubject(ref)]).toContain(subject);
      const command = parseStoredCommand(subject);
      if (command === null) return;
      const { partition, name } = command;
      const stored = commandSubject(command.ref, name).replace(/^cmd\./, `cmd.${partition}.`);
      expect(stored).toBe(subject);
    }),
    { numRuns: 1_000 },
  );
});

test("I11: how deep a text nests is told without parsing it", () => {
  const texts = fc.oneof(fc.json({ maxDepth: 12 }), fc.json({ maxDepth: 4, stringUnit: "binary" }));
  const depthOf = (value: unknown): number =>
    typeof value === "object" && value !== null
      ? 1 + Math.max(0, ...Object.values(value).map(depthOf))
      : 0;
  fc.assert(
    fc.property(texts, fc.nat({ max: 6 }), fc.integer({ min: 0, max: 2 }), (text, most, space) => {
      const value: unknown = JSON.parse(text);
      expect(nestsDeeper(JSON.stringify(value, null, space), most)).toBe(depthOf(value) > most);
    }),
    { numRuns: 500 },
  );
  for (const text of ["", '"[[[', "]]]]", "{", '"\\\\"[[', '"\\"[["']) {
    expect(nestsDeeper(text, 2)).toBe(false);
  }
  expect(nestsDeeper('"\\\\"[[[', 2)).toBe(true);
});
