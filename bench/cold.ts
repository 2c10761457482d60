/**
 * `cold`: how long a worker that has never seen a conversation takes until it can decide on it: its
 * key fetched, its events read, unsealed, checked and folded, its actor awake. Every conversation is
 * loaded once by such a worker, one after the other: first without a snapshot, beside what reading the
 * same messages costs alone; then from the snapshot which that has left, and two turns behind it.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { conversationKind } from "../actors/conversation/kind.ts";
import { Line } from "../actors/line.ts";
import { type ActorRef, systemIds } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { eventSubject } from "../schemas/subjects.ts";
import { readBatch } from "../streams/log/batches.ts";
import { connectStreams, type Streams } from "../streams/connection.ts";
import { startNatsServer } from "../streams/server.ts";
import { provision } from "../streams/provision.ts";
import { events_stream } from "../streams/topology.ts";
import { type Client, connectAlone } from "./actor-ports.ts";
import { figure, median, pause, percentile, type Print, rate } from "./figures.ts";
import { turnsOf, writeConversation, type Written } from "./histories.ts";

/** Events of a conversation, and how many such conversations are loaded. */
const sizes = [
  { events: 10, count: 400 },
  { events: 1_000, count: 60 },
  { events: 10_000, count: 10 },
] as const;
/** Whose load from a snapshot is the figure that programs read. */
const typical_events = 1_000;
/** What came behind the snapshot. */
const tail_turns = 2;
const look_ms = 5;

export async function cold(print: Print, scale: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  const log = (): void => undefined;
  const server = await startNatsServer({ folder, port: 0, sync: "default", log });
  const masterKey = randomBytes(32);
  const open: Streams[] = [];
  const client = async (): Promise<Client> => {
    const made = await connectAlone(server.url, masterKey);
    open.push(made.streams);
    return made;
  };
  try {
    const streams = await connectStreams({ url: server.url, name: "bench" });
    open.push(streams);
    await provision(streams, { partitions: 8, replicas: 1 });
    for (const { events, count } of sizes) {
      const refs = Array.from({ length: Math.max(1, Math.round(count * scale)) }, newRef);
      const writer = await client();
      const written = new Map<ActorRef, Written>();
      const write = (turns: number): Promise<number> =>
        rate(refs.length, 64, async (at) => {
          const ref = refs[at] ?? newRef();
          written.set(ref, await writeConversation(writer.log, ref, turns, written.get(ref)));
        });
      await write(turnsOf(events));
      const reads: number[] = [];
      for (const ref of refs) reads.push(await timed(() => readAll(streams, ref)));
      const limit = median(reads);
      const first = await client();
      const loads = await loadAll(first, refs);
      const without = `load_${events}_events_without_snapshot`;
      print(figure("cold", `${without}_p50_ms`, median(loads), "ms", limit));
      print(figure("cold", `${without}_p95_ms`, percentile(loads, 95), "ms"));
      // Shorter ones have none.
      if (events < limits.snapshot_events) continue;
      for (const ref of refs) {
        while ((await first.ports.snapshots.load(ref)) === null) await pause(look_ms);
      }
      await write(tail_turns);
      const again = await loadAll(await client(), refs);
      const name = events === typical_events ? "load" : `load_${events}_events`;
      print(figure("cold", `${name}_p50_ms`, median(again), "ms"));
      print(figure("cold", `${name}_p95_ms`, percentile(again, 95), "ms"));
    }
  } finally {
    for (const streams of open) await streams.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const newRef = (): ActorRef => ({ tenant: "bench", kind: "conversation", id: systemIds() });

async function timed(job: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await job();
  return performance.now() - began;
}

/** Loads each of them, in a worker that has none of their keys. */
async function loadAll({ ports }: Client, refs: readonly ActorRef[]): Promise<number[]> {
  const kind = conversationKind(ports, {
    report: () => Promise.resolve(),
    refresh: () => undefined,
  });
  const times: number[] = [];
  for (const ref of refs) {
    const line = new Line(ref, ports, kind, () => undefined);
    times.push(await timed(() => line.load()));
    line.leave();
  }
  return times;
}

/** The bytes of all of an actor's commits, looked at by nobody. */
async function readAll(streams: Streams, ref: ActorRef): Promise<void> {
  let more = true;
  for (let seq = 1; more;) {
    const batch = await readBatch(streams, events_stream, eventSubject(ref), { seq });
    more = batch.more;
    seq = (batch.messages.at(-1)?.seq ?? 0) + 1;
  }
}
