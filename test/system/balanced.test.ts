/** Two gateways and two workers as processes, behind a balancer that knows nothing of us. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Message, Page } from "../../schemas/http.ts";
import { connect, newId } from "../../web/client.ts";
import { startDatabase } from "../faults/system.ts";
import { startModelServer } from "../support/model-server.ts";
import { startNats, temporary } from "../support/services.ts";
import { startBalancer } from "./balancer.ts";
import { startPart, startServe } from "./serve.ts";
import { openStory, type Story } from "./story.ts";

let folder: string;
const ends: (() => unknown)[] = [];
beforeEach(() => {
  folder = temporary("balanced");
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

const ended = (story: Story): number => story.frames.filter(({ type }) => type === "end").length;

test("I5: I6: I7: clients of two gateways read one answer while a gateway and a worker are killed", async () => {
  const nats = await startNats(join(folder, "nats"));
  ends.push(() => nats.stop());
  const database = await startDatabase(join(folder, "postgres"));
  ends.push(() => database.stop());
  const provider = await startModelServer();
  ends.push(() => provider.close());
  const env = {
    ...{ NATS_URL: nats.url, DATABASE_URL: database.url },
    ...{ OPENAI_BASE_URL: provider.url, OPENAI_API_KEY: "none" },
    COLLOQUY_SECRET: "b".repeat(64),
    COLLOQUY_MASTER_KEY: "0123456789abcdef".repeat(4),
  };
  const part = (role: string): ReturnType<typeof startPart> => {
    const one = startPart(folder, env, role);
    ends.push(() => one.process.kill("SIGKILL"));
    return one;
  };
  const workers = [part("actors"), part("actors")];
  part("projections");
  const gateways = await Promise.all(
    ["first", "second"].map((name) =>
      startServe(join(folder, name), env, ["--roles", "gateway"]).then((gateway) => {
        ends.push(() => gateway.end("SIGKILL"));
        return gateway;
      }),
    ),
  );
  const [first, second] = gateways;
  if (first === undefined || second === undefined) throw new TypeError("there are two");
  const balancer = await startBalancer(gateways.map(({ url }) => Number(new URL(url).port)));
  ends.push(() => balancer.stop());
  await expect.poll(() => fetch(`${second.url}/ready`).then(({ status }) => status)).toBe(200);

  const wrong: string[] = [];
  const id = newId();
  const readers = Array.from({ length: 4 }, () => {
    const url = `ws://127.0.0.1:${balancer.port}/ws/chat`;
    const client = connect({ url, token: () => second.token() });
    ends.push(() => client.close());
    return { client, story: openStory((why) => wrong.push(why)) };
  });
  const [asker, ...others] = readers;
  if (asker === undefined) throw new TypeError("there are four");
  asker.client.begin(id, asker.story);
  await asker.client.send(id, "tell it [[tokens:40]] [[gate]]");
  for (const { client, story } of others) client.subscribe(id, story);
  provider.release(10);
  await Promise.all(readers.map(({ story }) => story.until(({ frames }) => frames.length > 4)));
  expect(balancer.given.every((count) => count > 0)).toBe(true);

  await first.end("SIGKILL");
  workers[0]?.process.kill("SIGKILL");
  provider.release(200);
  await Promise.all(readers.map(({ story }) => story.until((one) => ended(one) === 1)));
  // On whichever worker is left, from whoever is where.
  await others[0]?.client.send(id, "and again [[tokens:5]]");
  await Promise.all(readers.map(({ story }) => story.until((one) => ended(one) === 2)));

  const { items } = await second.get<Page<Message>>(`/api/v1/conversations/${id}/messages`);
  const answers = items.filter(({ role }) => role === "assistant");
  expect(answers.map(({ status }) => status)).toEqual(["done", "done"]);
  for (const { story } of readers) {
    expect(answers.map(({ turn }) => story.text(turn ?? ""))).toEqual(
      answers.map(({ text }) => text),
    );
  }
  expect(wrong).toEqual([]);
});
