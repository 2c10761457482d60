import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PushFrame } from "../../gateway/live/cursor.ts";
import { type Outlet, Subscription } from "../../gateway/live/subscription.ts";
import { event } from "../../schemas/events.ts";
import type { Clock } from "../../schemas/ids.ts";
import { script, uuid } from "./conversation-script.ts";
import { clock, id, start, turns, World } from "./room-world.ts";
import { Transcript } from "./transcript.ts";

/** Of a reader who may read for ever. */
const always = { watch: () => () => undefined };

/** A socket that takes `room` frames and then stops until it is read. */
class SlowSocket implements Outlet {
  readonly transcript = new Transcript();
  buffered = 0;
  most = 0;
  readonly watermark: number;

  constructor(watermark: number) {
    this.watermark = watermark;
  }
  writable(): boolean {
    return this.buffered < this.watermark;
  }
  send(frame: unknown): void {
    this.buffered++;
    this.most = Math.max(this.most, this.buffered);
    this.transcript.take(frame as PushFrame); // a subscription sends nothing else
  }
  sendBytes(bytes: Uint8Array): void {
    this.send(JSON.parse(new TextDecoder().decode(bytes)));
  }
  cork(call: () => void): void {
    call();
  }
  lagging(): void {}
}

const world = fc.array(
  fc.record({
    attempts: fc.array(fc.array(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 8 }), {
      minLength: 1,
      maxLength: 3,
    }),
    checkpointEvery: fc.integer({ min: 1, max: 6 }),
    end: fc.constantFrom("completed" as const, "cancelled" as const, "failed" as const),
  }),
  { minLength: 1, maxLength: 4 },
);

describe("a room and its subscriptions", () => {
  test("I6 I11: slow, late and fast sockets all read the same story, whatever the lanes lose", async () => {
    await fc.assert(
      fc.asyncProperty(
        world,
        fc.infiniteStream(fc.nat(9)),
        fc.boolean(),
        async (of, dice, keeps) => {
          const items = script("acme", id, of);
          const roll = (): number => dice.next().value ?? 0;
          const live = new World();
          live.keepsFrames = keeps;
          const sockets: { socket: SlowSocket; subscription: Subscription }[] = [];
          const failures: unknown[] = [];
          const enter = (): void => {
            const socket = new SlowSocket(1 + roll());
            const subscription = new Subscription(
              live.room,
              socket,
              (error) => failures.push(error),
              always,
            );
            subscription.begin(start, null);
            sockets.push({ socket, subscription });
          };
          const drain = (): void => {
            for (const { socket, subscription } of sockets) {
              socket.buffered = 0;
              subscription.drained();
            }
          };
          enter();
          for (const item of items) {
            live.happen(item, roll() > 1);
            if (roll() > 7 && sockets.length < 5) enter();
            if (roll() > 6) await turns();
            if (roll() > 7) drain();
          }
          // Even the last commit may be lost; that it was acknowledged is enough to look for it.
          const last = items.at(-1);
          const end =
            (last !== undefined &&
              "commit" in last &&
              last.commit.revision + last.commit.events.length - 1) ||
            0;
          live.room.expect(end);
          enter();
          for (
            let n = 0;
            n < 500 &&
            sockets.some(
              ({ socket }) => socket.transcript.revision < end || socket.transcript.owed !== null,
            );
            n++
          ) {
            drain();
            await turns();
          }
          drain();
          await turns();
          expect(failures).toEqual([]);
          const [first] = sockets;
          for (const { socket } of sockets) {
            expect(socket.transcript.revision).toBe(end);
            expect(socket.transcript.story).toEqual(first?.socket.transcript.story);
            expect(socket.most).toBeLessThanOrEqual(socket.watermark);
          }
          live.room.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  /** A turn whose end no lane tells of. */
  async function unseenEnd(live: World, happened: () => void): Promise<void> {
    const of = [{ attempts: [["Hel", "lo"]], checkpointEvery: 9, end: "completed" as const }];
    const items = script("acme", id, of);
    const socket = new SlowSocket(1_000);
    new Subscription(live.room, socket, () => undefined, always).begin(start, null);
    const [ending] = items.slice(-1);
    if (ending === undefined || !("commit" in ending)) throw new Error("no ending");
    for (const item of items.slice(0, -1)) live.happen(item, true);
    await turns();
    live.happen(ending, false);
    happened();
    const { revision, events } = ending.commit;
    for (let n = 0; n < 50; n++) await turns();
    expect(socket.transcript).toMatchObject({
      revision: revision + events.length - 1,
      owed: null,
    });
    live.room.close();
  }

  test("I6: the end of a turn is found although the server died before it told of it", () =>
    unseenEnd(new World(), () => undefined));

  test("I6: a commit that came, but could not be opened then, is read from the log", () => {
    // Nobody waits long enough to doubt.
    const short: Clock = {
      ...clock,
      after: (ms, call) => (ms < 5_000 ? clock.after(ms, call) : () => undefined),
    };
    const live = new World(short);
    return unseenEnd(live, () => live.miss());
  });
});

test("a room keeps no text of a conversation that was deleted", async () => {
  const world = new World();
  await world.room.opened;
  const turn = { attempts: [["a", "b"]], checkpointEvery: 9, end: "completed" } as const;
  for (const item of script("acme", id, [turn])) world.happen(item, true);
  await turns();
  const { commits } = world.room.tail.from(0);
  const last = commits?.at(-1);
  if (last === undefined) throw new Error("nothing was kept");
  world.happen(
    {
      commit: {
        ...last,
        commit: uuid(7),
        revision: last.revision + last.events.length,
        sequence: last.sequence + 1,
        prev: last.hash,
        hash: "d".repeat(64),
        events: [event("conversation.deleted", {})],
      },
    },
    true,
  );
  await turns();
  expect(world.room.position.revision).toBe(last.revision + last.events.length);
  expect(world.room.tail.from(0).commits).toBeNull();
});
