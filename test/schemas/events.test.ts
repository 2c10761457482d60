/** Every version of every event that was ever written can be read, for ever. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { contentFields, eventSchemas, eventTypes, eventVersions } from "../../schemas/events.ts";
import { UnknownVersion, upcast, type Upcaster } from "../../schemas/upcasters.ts";
import { check } from "../../schemas/validate.ts";

const folder = join(import.meta.dirname, "events");
interface Fixture {
  readonly type: (typeof eventTypes)[number];
  readonly v: number;
  readonly data: Record<string, unknown>;
}
const fixtures = readdirSync(folder).map((name) => ({
  name,
  // Written by hand or by an older release; what it must be is what is tested.
  event: JSON.parse(readFileSync(join(folder, name), "utf8")) as Fixture,
}));

test("every version of every type has a fixture, and nothing else has", () => {
  const wanted = eventTypes.flatMap((type) =>
    Array.from({ length: eventVersions[type] }, (_, at) => `${type}.v${at + 1}.json`),
  );
  expect(fixtures.map(({ name }) => name).sort()).toEqual(wanted.sort());
});

test.each(fixtures)("$name reads as an event of the current version", ({ name, event }) => {
  const { type, v, data } = event;
  expect(name).toBe(`${type}.v${v}.json`);
  const parsed = check(eventSchemas[type]).parse(upcast(type, v, data));
  expect(parsed).toMatchObject({ ok: true });
  for (const field of Object.keys(contentFields[type] ?? {})) expect(data).toHaveProperty(field);
});

test("an event is upcast step by step, and a version that is not known is never guessed", () => {
  const steps: Record<number, Upcaster> = {
    1: ({ old, ...rest }) => ({ ...rest, new: old }),
    2: (data) => ({ ...data, more: 1 }),
  };
  const table = { "head.moved": steps };
  expect(upcast("head.moved", 1, { old: "x" }, table, 3)).toEqual({ new: "x", more: 1 });
  expect(upcast("head.moved", 3, { new: "x" }, table, 3)).toEqual({ new: "x" });
  expect(() => upcast("head.moved", 4, {}, table, 3)).toThrow(UnknownVersion);
  expect(() => upcast("head.moved", 1, {}, {}, 3)).toThrow(UnknownVersion);
});
