/** Provisioning makes the server match the table, and refuses what would lose data. */
import { nanos } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { limits } from "../../schemas/limits.ts";
import { commandSubject } from "../../schemas/subjects.ts";
import { connectStreams } from "../../streams/connection.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { changeOf, provision } from "../../streams/provision.ts";
import { topology } from "../../streams/topology.ts";
import { newRef, partitions, startSystem, type System } from "./system.ts";

let system: System;
beforeAll(async () => {
  system = await startSystem();
});
afterAll(() => system.stop());

const again = (count = partitions): Promise<void> =>
  provision(system.streams, { partitions: count, replicas: 1 });

test("provisioning again, and from two processes at once, changes nothing", async () => {
  const other = await system.client();
  await Promise.all([again(), provision(other.streams, { partitions, replicas: 1 })]);
  await ensureConsumers(system.streams, partitions);
  await ensureConsumers(system.streams, partitions);
  for (const declared of topology(partitions, 1)) {
    expect(changeOf(await system.streams.jsm.streams.info(declared.name), declared)).toBeNull();
  }
});

test("a setting that somebody changed is set right again", async () => {
  const { streams } = system.streams.jsm;
  await streams.update("EVENTS", { compression: "none", allow_direct: false });
  await streams.update("TOKENS", { max_bytes: 1024 });
  await again();
  expect((await streams.info("EVENTS")).config).toMatchObject({
    compression: "s2",
    allow_direct: true,
  });
  expect((await streams.info("TOKENS")).config.max_bytes).toBe(limits.tokens_bytes_max);
});

test("another number of partitions is a clear error and changes nothing", async () => {
  await expect(again(64)).rejects.toMatchObject({
    code: "unavailable",
    message: expect.stringContaining("made for 8 partitions, not 64") as string,
  });
  const { config } = await system.streams.jsm.streams.info("COMMANDS");
  expect(config.subject_transform?.dest).toContain("partition(8,");
});

test("what would lose data is refused with a sentence", async () => {
  const { streams } = system.streams.jsm;
  await streams.update("DEAD", { max_age: nanos(365 * 24 * 3_600_000) });
  await again(); // nothing lies there, so nothing is lost
  await streams.update("DEAD", { max_age: nanos(365 * 24 * 3_600_000) });
  await system.streams.js.publish("dead.commands.unknown.unknown.unknown", "x");
  await expect(again()).rejects.toThrow("The stream DEAD keeps more than this release asks for");
  await streams.update("DEAD", { max_age: 0 });
  await expect(again()).rejects.toThrow("would lose data");
  await streams.purge("DEAD");
  await again();
  const info = await streams.info("EVENTS");
  const memory = { ...info, config: { ...info.config, storage: "memory" as const } };
  const [, declared] = topology(partitions, 1);
  expect(() => declared && changeOf(memory, declared)).toThrow('has storage "memory", not "file"');
});

test("a command is stored on its actor's partition, whatever its name", async () => {
  const { js, jsm } = system.streams;
  const ref = newRef();
  const partitionOf = async (name: string): Promise<string | undefined> => {
    const { seq } = await js.publish(commandSubject(ref, name), "{}");
    const subject = (await jsm.streams.getMessage("COMMANDS", { seq }))?.subject;
    expect(subject).toContain(`.${ref.tenant}.${ref.kind}.${ref.id}.${name}`);
    return subject?.split(".")[1];
  };
  expect(await partitionOf("send")).toBe(await partitionOf("cancel"));
});

test("nobody may delete or purge the log", async () => {
  const { streams } = system.streams.jsm;
  await system.streams.js.publish("evt.acme.conversation.x", "{}");
  await expect(streams.purge("EVENTS")).rejects.toThrow("not permitted");
  await expect(streams.deleteMessage("EVENTS", 1)).rejects.toThrow("not permitted");
});

test("an unreachable server is one sentence", async () => {
  const connecting = connectStreams({ url: "nats://ann:secret@127.0.0.1:1", name: "test" });
  const error: unknown = await connecting.catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "unavailable" });
  expect(String(error)).toMatch(/NATS at 127\.0\.0\.1:1 is not reachable/);
  expect(String(error)).not.toContain("secret");
});
