/** The process of the role `feed` is killed with -9 while there is much to tell, again and again. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { event } from "../../schemas/events.ts";
import { systemIds, workspaceRef } from "../../schemas/ids.ts";
import {
  master_key,
  newRef,
  said,
  secret,
  startSystem,
  type System,
  titled,
} from "../streams/system.ts";
import { ids, line, publicIds, told } from "./feed.ts";
import { type Receiver, startReceiver, webhook_secret } from "./receiver.ts";
import { quick } from "../support/programs.ts";

let system: System;
let receiver: Receiver;
const children = new Set<ChildProcess>();
beforeAll(async () => {
  [system, receiver] = await Promise.all([startSystem(), startReceiver()]);
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await receiver.close();
  await system.stop();
});

/** Starts one; resolves when it runs. All say that they are the same one, so none waits for a lease. */
async function feed(): Promise<ChildProcess> {
  const script = join(import.meta.dirname, "feed-child.ts");
  const child = spawn(process.execPath, [...quick, script, system.server.url, "the same"], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { SECRET: secret.toString("hex"), MASTER_KEY: master_key.toString("hex") },
  });
  children.add(child);
  await once(createInterface({ input: child.stdout }), "line");
  return child;
}
const kill = async (child: ChildProcess): Promise<void> => {
  const gone = once(child, "close");
  child.kill("SIGKILL");
  await gone;
  children.delete(child);
};

test("I1: killed under load, the feed tells each event once, in order, and webhooks lose nothing", async () => {
  const { jsm } = system.streams;
  await line(system, workspaceRef("acme")).say(
    event("webhook.created", {
      ...{ webhook: systemIds(), url: receiver.url, types: ["conversation.titled"] },
      secret: webhook_secret,
    }),
  );
  const lines = Array.from({ length: 4 }, (_, n) => line(system, newRef(n < 2 ? "acme" : "other")));
  const appended = async (): Promise<number> => (await jsm.streams.info("FEED")).state.last_seq;
  let current = await feed();
  for (let round = 0; round < 4; round++) {
    const before = await appended();
    const next = feed();
    const writing = Promise.all(
      lines.map(async ({ say }) => {
        for (let n = 0; n < 40; n++) await say(said(`${round} ${n}`), said("more"), titled(`${n}`));
      }),
    );
    // In the middle of what it tells, or of what it posts; the next one may be at it by then, too.
    const progress = round % 2 === 0 ? appended : async () => receiver.posts.length;
    const least = (round % 2 === 0 ? before : receiver.posts.length) + 10 + round * 11;
    await expect.poll(progress, { interval: 1 }).toBeGreaterThan(least);
    await kill(current);
    await writing;
    current = await next;
  }
  const refs = [workspaceRef("acme"), ...lines.map(({ ref }) => ref)];
  const wanted = await publicIds(system.log, refs);
  expect(wanted.length).toBeGreaterThanOrEqual(4 * 4 * 40 * 3);
  const found = async (): Promise<string[]> => ids(await told(system.streams));
  await expect.poll(async () => (await found()).length).toBe(wanted.length);
  expect(await found()).toEqual(wanted);

  const titles = (await told(system.streams, "feed.acme.conversation.titled.>")).map(
    ({ event: { id } }) => id,
  );
  expect(titles).toHaveLength(4 * 2 * 40);
  const taken = (): string[] => [...new Set(receiver.taken.map(({ id }) => id))];
  await expect.poll(() => taken().length).toBe(titles.length);
  expect(taken().toSorted()).toEqual(titles.toSorted());
});
