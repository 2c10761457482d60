/** How long the rooms of a gateway stay when nobody is in them. */
import { expect, test } from "vitest";
import { Replays } from "../../gateway/live/replays.ts";
import { Rooms } from "../../gateway/live/rooms.ts";
import { steppedClock } from "../actors/stepped-clock.ts";
import { uuid } from "./conversation-script.ts";

const linger_ms = 2_000;
const lingering_max = 1_000;
const ref = (at: number) => ({ tenant: "acme", kind: "conversation", id: uuid(at) }) as const;

function gateway() {
  const clock = steppedClock();
  const following = { ready: Promise.resolve(), stop: () => undefined };
  const lanes = {
    commits: () => following,
    tokens: () => following,
    replay: () => Promise.resolve([]),
    reconnected: () => () => undefined,
  };
  const log = {
    async *read() {
      // Nothing has happened.
    },
  };
  const replays = new Replays(log);
  const heard = { report: () => undefined, noticed: () => undefined };
  const rooms = new Rooms({ lanes, log, replays, clock, ...heard });
  return { clock, rooms };
}

test("a room is there for who comes back within its time, and gone behind it", () => {
  const { clock, rooms } = gateway();
  const first = rooms.enter(ref(1));
  first.release();
  clock.step(linger_ms - 1);
  const again = rooms.enter(ref(1));
  expect(again.room).toBe(first.room);
  clock.step(10 * linger_ms);
  expect(again.room.closed).toBe(false);
  again.release();
  clock.step(linger_ms);
  expect([again.room.closed, rooms.size]).toEqual([true, 0]);
  expect(rooms.enter(ref(1)).room).not.toBe(first.room);
});

test("it stays from its last use on: the end of an earlier stay does not end a later one", () => {
  const { clock, rooms } = gateway();
  const { room, release } = rooms.enter(ref(1));
  release();
  clock.step(1_500);
  rooms.enter(ref(1)).release();
  clock.step(1_500);
  expect(room.closed).toBe(false);
  expect(rooms.enter(ref(1)).room).toBe(room);
});

test("who leaves twice has left once, and the last one closes the door", () => {
  const { clock, rooms } = gateway();
  const [one, two] = [rooms.enter(ref(1)), rooms.enter(ref(1))];
  one.release();
  one.release();
  clock.step(linger_ms);
  expect(two.room.closed).toBe(false);
  two.release();
  clock.step(linger_ms);
  expect(two.room.closed).toBe(true);
});

test("I11: only so many stay unused, and each that ends or is used again makes room for another", () => {
  const { clock, rooms } = gateway();
  for (let at = 0; at < lingering_max; at++) rooms.enter(ref(at)).release();
  expect(rooms.size).toBe(lingering_max);
  rooms.enter(ref(lingering_max)).release();
  expect(rooms.size).toBe(lingering_max);
  const used = rooms.enter(ref(0));
  rooms.enter(ref(lingering_max)).release();
  expect(rooms.size).toBe(lingering_max + 1);
  used.release();
  expect(rooms.size).toBe(lingering_max);
  clock.step(linger_ms);
  expect(rooms.size).toBe(0);
  rooms.enter(ref(1)).release();
  expect(rooms.size).toBe(1);
});
