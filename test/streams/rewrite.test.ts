/** Streams that are rewritten on a real server: the same messages in new files, and nothing else. */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { commandSubject, timerSubject } from "../../schemas/subjects.ts";
import { connectStreams, type Streams } from "../../streams/connection.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { provision } from "../../streams/provision.ts";
import { forgetCounts, rewriteStream, storedStreams } from "../../streams/content/rewrite.ts";
import { type NatsServer, startNatsServer, storeOf } from "../../streams/server.ts";
import { temporary } from "../support/services.ts";
import { newRef } from "./system.ts";

const partitions = limits.partitions_embedded;
let folder: string;
let server: NatsServer;
let streams: Streams;
const start = async (): Promise<void> => {
  server = await startNatsServer({ folder, port: 0, log: () => undefined });
  streams = await connectStreams({ url: server.url, name: "test" });
};
const stop = async (): Promise<void> => {
  await streams.close();
  await server.stop();
};
beforeEach(async () => {
  folder = temporary("rewrite");
  await start();
  await provision(streams, { partitions, replicas: 1 });
  await ensureConsumers(streams, partitions);
});
afterEach(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 10 });
});

const onDisk = (text: string): boolean =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .some((entry) => readFileSync(join(entry.parentPath, entry.name)).includes(text));

async function stored(name: string): Promise<unknown[]> {
  const { state } = await streams.jsm.streams.info(name);
  const found: unknown[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await streams.jsm.streams.getMessage(name, { seq }).catch(() => null);
    if (message === null) continue;
    const { subject, time, data, header } = message;
    const headers = [...header.keys()].filter((key) => !key.startsWith("Nats-Expected"));
    const named = headers.map((key) => [key, header.get(key)]);
    found.push([seq, subject, time.toISOString(), Buffer.from(data).toString("hex"), named]);
  }
  return found;
}

test("a rewritten stream holds the same messages in their places, and not a byte of those that left", async () => {
  const ref = newRef();
  const { jsm, js } = streams;
  for (let at = 1; at <= 40; at++) {
    await js.publish(commandSubject(ref, "send"), at === 7 ? "stays" : `left the queue ${at}`);
  }
  for (let seq = 1; seq <= 40; seq++) {
    if (seq !== 7) await jsm.streams.deleteMessage("COMMANDS", seq, false);
  }
  await js.publish(`$KV.KEYS.${ref.id}`, "a key");
  await js.publish(`$KV.SNAPSHOTS.${ref.id}`, "a snapshot");
  await js.publish(`feed.acme.turn.completed.${ref.id}`, "what is fed");
  const letter = await js.publish(`dead.commands.acme.conversation.${ref.id}`, "a letter");
  await jsm.streams.deleteMessage("DEAD", letter.seq, false);
  const names = (await storedStreams(streams)).filter((name) => name !== "EVENTS");
  expect(names).toHaveLength(9);
  const look = () =>
    Promise.all(
      names.map(async (name) => [name, await jsm.streams.info(name), await stored(name)]),
    );
  const before = await look();
  expect(onDisk("left the queue")).toBe(true);

  for (const name of names) await rewriteStream(streams, name);
  expect(onDisk("left the queue")).toBe(false);
  expect(onDisk("stays")).toBe(true);
  const after = await look();
  expect(after.map(([name, , messages]) => [name, messages])).toEqual(
    before.map(([name, , messages]) => [name, messages]),
  );
  // A table that the server matches needs no change, and numbers are never given twice.
  await provision(streams, { partitions, replicas: 1 });
  const again = await js.publish(`dead.commands.acme.conversation.${ref.id}`, "the next");
  expect(again.seq).toBe(letter.seq + 1);
});

test("a timer that was set before is fired afterwards", async () => {
  const ref = newRef();
  const target = commandSubject(ref, "idle");
  // Not before it was rewritten; the server may be away when it is due.
  const specification = new Date(Date.now() + 3_000);
  await streams.js.publish(timerSubject(ref, "idle", "idle"), "when it is time", {
    schedule: { specification, target },
  });
  await rewriteStream(streams, "COMMANDS");
  await stop();
  forgetCounts(folder, "COMMANDS");
  expect(readdirSync(join(storeOf(folder, "COMMANDS"), "msgs"))).toEqual([
    expect.stringMatching(/^\d+\.blk$/),
  ]);
  await start();
  const subjects = async (): Promise<string[]> => {
    const info = await streams.jsm.streams.info("COMMANDS", { subjects_filter: ">" });
    return Object.keys(info.state.subjects ?? {});
  };
  await expect
    .poll(subjects, { interval: 50 })
    .toEqual([expect.stringMatching(/^cmd\.\d\.acme\.conversation\..*\.idle$/)]);
});
