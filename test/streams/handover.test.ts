/** Who gets the commands when workers come, are killed, stand still or lose the connection (I7). */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { systemIds } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Delivery } from "../../streams/queue/queue.ts";
import { idsOf, startQueueDesk } from "./queue-desk.ts";
import { newRef, partitions, secret } from "./system.ts";
import { quick } from "../support/programs.ts";

const desk = startQueueDesk();

/** A worker process; its deliveries by command id, and what it complains of. */
async function child(): Promise<{
  process: ChildProcess;
  seen: Map<string, number>;
  complaints: string[];
}> {
  const { ends, system } = desk();
  const file = new URL("./worker-child.ts", import.meta.url).pathname;
  const args = [...quick, file, system.server.url, secret.toString("hex")];
  const running = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const complaints: string[] = [];
  createInterface({ input: running.stderr }).on("line", (line) => complaints.push(line));
  const gone = new Promise<void>((resolve) => running.once("exit", () => resolve()));
  ends.push(async () => {
    running.kill("SIGKILL");
    await gone;
  });
  const seen = new Map<string, number>();
  await new Promise<void>((ready) => {
    createInterface({ input: running.stdout }).on("line", (line) => {
      const said = JSON.parse(line) as { ready?: string; id?: string; count?: number }; // our own
      if (said.ready !== undefined) ready();
      if (said.id !== undefined) seen.set(said.id, said.count ?? 0);
    });
  });
  return { process: running, seen, complaints };
}

test("I7: when a worker is killed, another gets the new commands, and the held ones after ack_wait", async () => {
  const { send, waiting, work } = desk();
  const dying = await child();
  const refs = Array.from({ length: 24 }, () => newRef());
  const text = { name: "send", data: { text: "hold me" } };
  const held = await Promise.all(refs.map((ref) => send(ref, text)));
  await expect.poll(() => dying.seen.size).toBe(held.length);
  const worker = await work();
  // Held ones stay where they are while their owner lives and renews them.
  const fresh = await Promise.all(refs.map((ref) => send(ref)));
  const allSeen = (): number => worker.got.length + dying.seen.size;
  await expect.poll(allSeen).toBe(held.length + fresh.length);
  for (const id of held) expect(idsOf(worker)).not.toContain(id);

  dying.process.kill("SIGKILL");
  const later = await Promise.all(refs.map((ref) => send(ref)));
  await expect
    .poll(() => [...later, ...held].filter((id) => !idsOf(worker).includes(id)))
    .toEqual([]);
  expect(worker.got.filter(({ id }) => held.includes(id)).every((d) => d.deliveries > 1)).toBe(
    true,
  );
  await expect.poll(waiting).toBe(0);
});

test("I7: a process that stood still takes nothing that lay in its buffers, and pulls anew", async () => {
  const { send, waiting, work } = desk();
  const stalling = await child();
  const probe = await send();
  await expect.poll(() => stalling.seen.has(probe)).toBe(true);
  stalling.process.kill("SIGSTOP");
  // All of it goes into the buffers of the pinned process first.
  const sent = await Promise.all(Array.from({ length: 24 }, () => send()));
  const other = await work();
  await expect.poll(waiting).toBe(0);
  expect(sent.filter((id) => !idsOf(other).includes(id))).toEqual([]);

  stalling.process.kill("SIGCONT");
  const told = (): boolean => stalling.complaints.some((line) => line.includes("stood still"));
  await expect.poll(told).toBe(true);
  // It takes part again.
  const shares = async (): Promise<boolean> => {
    const id = await send();
    await expect.poll(waiting).toBe(0);
    return stalling.seen.has(id);
  };
  await expect.poll(shares, { interval: 100 }).toBe(true);
  expect(sent.filter((id) => stalling.seen.has(id))).toEqual([]);
});

test("two workers share the partitions, and each command goes to one of them", async () => {
  const { send, waiting, work } = desk();
  const sent = new Map<string, number>();
  /** How old a command was when it came again. */
  const again: number[] = [];
  const came = new Set<string>();
  const take = (delivery: Delivery): void => {
    if (came.has(delivery.id)) again.push(performance.now() - (sent.get(delivery.id) ?? 0));
    came.add(delivery.id);
    delivery.ack();
  };
  const one = await work(take);
  const two = await work(take);
  const balanced = async (): Promise<boolean> => {
    const ids = Array.from({ length: 32 }, () => systemIds());
    for (const id of ids) sent.set(id, performance.now());
    await Promise.all(ids.map((id) => send(newRef(), { id })));
    const [a, b] = [one.queue.owned(), two.queue.owned()];
    return (
      a.length < partitions && b.length < partitions && new Set([...a, ...b]).size === partitions
    );
  };
  await expect.poll(balanced, { interval: 250 }).toBe(true);
  await expect.poll(waiting).toBe(0);
  expect([...came].sort()).toEqual([...sent.keys()].sort());
  expect(one.workers.members()).toEqual(two.workers.members());
  // Handing over doubles nothing. Where this process, or the server, stands still for `ack_wait_ms`,
  // a command comes again while its first delivery lies in a buffer; its actor judges that (I2).
  expect(again.filter((age_ms) => age_ms < limits.ack_wait_ms)).toEqual([]);
});

test("a worker that lost the connection drops what it held, and is not gone for itself", async () => {
  const { send, system, work } = desk();
  const worker = await work(() => undefined);
  await send();
  await expect.poll(() => worker.got.length).toBe(1);
  await system.server.kill9();
  await expect.poll(() => worker.lost.length).toBeGreaterThan(0);
  expect(worker.queue.owned()).toEqual([]);
  expect(worker.workers.gone(worker.workers.id)).toBe(false);
});
