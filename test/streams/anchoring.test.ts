/** Who anchors the log, and when: one of several, and nothing is forgotten when that one ends. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Clock, systemClock } from "../../schemas/ids.ts";
import { startAnchoring } from "../../streams/proof/anchoring.ts";
import { lastAnchor } from "../../streams/proof/anchors.ts";
import { verifyAnchors } from "../../streams/proof/verify-anchors.ts";
import { startNats } from "../support/services.ts";
import { pulse } from "../support/pulse.ts";
import { type Desk, openDesk } from "./anchoring-desk.ts";
import { newRef, startSystem, type System } from "./system.ts";

const hour_ms = 3_600_000;
let system: System;
let desk: Desk;
const ends: (() => Promise<void>)[] = [];
beforeEach(async () => {
  system = await startSystem();
  desk = openDesk(system);
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await system.stop();
});

/** One that anchors; `asked` is how often it has asked a workspace for an anchor. */
async function anchorer(holder: string, period_ms: number, clock: Clock = systemClock) {
  const { streams } = await system.client();
  const news = pulse();
  const tally = { asked: 0, problems: [] as string[] };
  const { stop } = await startAnchoring({
    ...{ ...desk.parts, streams, clock, holder, period_ms },
    publish: {
      async publish(command) {
        await desk.parts.publish.publish(command);
        tally.asked += 1;
        news.beat();
      },
    },
    report: ({ what }) => tally.problems.push(what),
  });
  ends.push(stop);
  return { tally, stop, asked: (times: number) => news.until(() => tally.asked >= times) };
}
const sequence = async (): Promise<number> =>
  (await lastAnchor(system.streams, "acme"))?.sequence ?? 0;

test("one of several anchors; when it ends another goes on where it was", async () => {
  const ref = newRef();
  await desk.grow(ref);
  const first = await anchorer("first", 50);
  await first.asked(1);
  const second = await anchorer("second", 50);
  await desk.grow(ref);
  await first.asked(2);
  expect(second.tally.asked).toBe(0);
  await first.stop();
  await desk.grow(ref);
  await second.asked(1);
  await expect.poll(sequence).toBeGreaterThanOrEqual(5);
  expect(await verifyAnchors(system.streams, { tenant: null, root: null })).toMatchObject({
    ...{ anchors: 3, faulty: 0 },
  });
  expect([...first.tally.problems, ...second.tally.problems]).toEqual([]);
});

test("a commit waits no longer than a period, however often processes start anew", async () => {
  await desk.grow(newRef());
  // Somebody who starts half a period later, and ends before a period is over.
  const shifted = (by_ms: number): Clock => ({ ...systemClock, now: () => Date.now() + by_ms });
  const waits: number[] = [];
  const early: Clock = {
    now: () => Date.now() + hour_ms / 2,
    after(ms, call) {
      waits.push(ms);
      return systemClock.after(ms, call);
    },
  };
  const first = await anchorer("first", hour_ms, early);
  await expect.poll(() => waits.length).toBeGreaterThan(1);
  await first.stop();
  expect(first.tally.asked).toBe(0);
  const second = await anchorer("second", hour_ms, shifted(hour_ms));
  await second.asked(1);
  expect(await sequence()).toBe(1);
});

test("it goes on when the server was away", async () => {
  const ref = newRef();
  const { dir, port } = system.server;
  const first = await anchorer("first", 20);
  await desk.grow(ref);
  await first.asked(1);
  await system.server.kill9();
  const again = await startNats(dir, { port });
  ends.unshift(() => again.stop());
  await expect
    .poll(() =>
      desk.grow(ref).then(
        () => true,
        () => false,
      ),
    )
    .toBe(true);
  await expect.poll(sequence).toBeGreaterThan(2);
  expect((await verifyAnchors(system.streams, { tenant: null, root: null })).faults).toEqual([]);
});
