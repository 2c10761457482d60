/** The real services that other suites stand on: they start, hold what they are told, and end. */
import { existsSync, rmSync } from "node:fs";
import { connect as tcp } from "node:net";
import { once } from "node:events";
import { connect } from "@nats-io/transport-node";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { Client } from "pg";
import { afterEach, describe, expect, test } from "vitest";
import * as services from "../support/services.ts";

const started: services.Running[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((service) => service.stop()));
});
async function kept(starting: Promise<services.Running>): Promise<services.Running> {
  const service = await starting;
  started.push(service);
  return service;
}
const alive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test("nats-server keeps its stream over kill -9, on the same port", async () => {
  const first = await kept(services.startNats());
  const nc = await connect({ servers: first.url });
  await (await jetstreamManager(nc)).streams.add({ name: "S", subjects: ["s.>"] });
  await jetstream(nc).publish("s.a", "kept");
  await nc.close();
  await first.kill9();
  expect(alive(first.pid)).toBe(false);

  const second = await kept(services.startNats(first.dir, { port: first.port }));
  expect(second.url).toBe(first.url);
  const again = await connect({ servers: second.url });
  expect((await (await jetstreamManager(again)).streams.info("S")).state.messages).toBe(1);
  await again.close();
  await second.stop();
  await first.stop();
  expect(existsSync(first.dir)).toBe(false);
});

test("a server that cannot start says why", async () => {
  const dir = services.temporary("broken");
  const starting = services.startNats(dir, { config: "nonsense" });
  await expect(starting).rejects.toThrow(/ended with 1/);
  rmSync(dir, { recursive: true });
});

describe.skipIf(services.postgresBinaries() === null)("postgres", () => {
  test("a private cluster answers and leaves nothing behind", async () => {
    const postgres = await kept(services.startPostgres());
    const client = new Client(postgres.url);
    await client.connect();
    expect((await client.query("select 6 * 7 as answer")).rows).toEqual([{ answer: 42 }]);
    if (services.pgvectorControl() !== null) {
      await client.query("create extension vector");
      const { rows } = await client.query("select '[1,2]'::vector <-> '[1,4]' as distance");
      expect(rows).toEqual([{ distance: 2 }]);
    }
    await client.end();
    await postgres.stop();
    expect(alive(postgres.pid)).toBe(false);
    expect(existsSync(postgres.dir)).toBe(false);
  });
});

describe.skipIf(services.redisBinary() === null)("redis", () => {
  test("a private server answers", async () => {
    const redis = await kept(services.startRedis());
    const socket = tcp(redis.port, "127.0.0.1");
    socket.write("PING\r\n");
    expect(String((await once(socket, "data"))[0])).toBe("+PONG\r\n");
    socket.destroy();
  });
});

test("Chromium is where it is demanded", () => {
  const path = services.chromiumBinary();
  expect(path === null || existsSync(path)).toBe(true);
});
