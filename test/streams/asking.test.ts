/** One worker asks another what it runs. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock, systemIds } from "../../schemas/ids.ts";
import { workerSubject } from "../../schemas/subjects.ts";
import { type Asking, openAsking } from "../../streams/queue/asking.ts";
import { newRef, startSystem, type System } from "./system.ts";

let system: System;
const ids = [systemIds(), systemIds()] as const;
let one: Asking;
let other: Asking;
beforeAll(async () => {
  system = await startSystem();
  const [mine, theirs] = [await system.client(), await system.client()];
  one = openAsking(mine.streams, { id: ids[0], clock: systemClock });
  other = openAsking(theirs.streams, { id: ids[1], clock: systemClock });
  await Promise.all([mine.streams.nc.flush(), theirs.streams.nc.flush()]);
});
afterAll(async () => {
  one.stop();
  other.stop();
  await system.stop();
});

test("I7: a worker answers of the very attempt that it is asked for", async () => {
  const ref = newRef();
  const turn = systemIds();
  const asked: unknown[] = [];
  const end = other.answer((who, attempt) => {
    asked.push([who, attempt]);
    return attempt.attempt === 2;
  });
  expect(await one.ask(ids[1], ref, { turn, attempt: 2 })).toBe(true);
  expect(await one.ask(ids[1], ref, { turn, attempt: 1 })).toBe(false);
  expect(asked).toEqual([
    [ref, { turn, attempt: 2 }],
    [ref, { turn, attempt: 1 }],
  ]);
  end();
  expect(await one.ask(ids[1], ref, { turn, attempt: 2 })).toBe(null);
});

test("who is not there, and who says nonsense, has said nothing", async () => {
  const turn = systemIds();
  expect(await one.ask(systemIds(), newRef(), { turn, attempt: 1 })).toBe(null);
  const end = other.answer(() => true);
  const { nc } = system.streams;
  for (const payload of [
    "",
    "{",
    "null",
    '{"told":1}',
    '{"ask":1,"from":"*"}',
    '{"told":9e9,"runs":true}',
  ]) {
    nc.publish(workerSubject(ids[0]), payload);
    nc.publish(workerSubject(ids[1]), payload);
  }
  await nc.flush();
  expect(await one.ask(ids[1], newRef(), { turn, attempt: 1 })).toBe(true);
  end();
});
