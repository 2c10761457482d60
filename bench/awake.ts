/**
 * `awake`: what a conversation in a worker's memory costs there: the growth of heap and of resident
 * memory over many that are loaded, divided by them. The worker is a process of its own, which has
 * loaded others before; the conversations were written by this one.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ActorRef, systemIds } from "../schemas/ids.ts";
import { startNatsServer } from "../streams/server.ts";
import { connectStreams } from "../streams/connection.ts";
import { provision } from "../streams/provision.ts";
import { connectAlone } from "./actor-ports.ts";
import { figure, type Print, rate } from "./figures.ts";
import { turnsOf, writeConversation } from "./histories.ts";
import { run } from "./processes.ts";

/** What `bench/awake-worker.ts` answers, in bytes of its whole process. */
export interface Memory {
  readonly heap: number;
  readonly resident: number;
  readonly awake: number;
}

const warm = 200;
/** Ten turns: a conversation of an afternoon. */
const events = 42;

export async function awake(print: Print, scale: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  const log = (): void => undefined;
  const server = await startNatsServer({ folder, port: 0, sync: "default", log });
  const masterKey = randomBytes(32);
  const streams = await connectStreams({ url: server.url, name: "bench" });
  await provision(streams, { partitions: 8, replicas: 1 });
  const writer = await connectAlone(server.url, masterKey);
  try {
    const write = async (count: number): Promise<string[]> => {
      const ids = Array.from({ length: count }, systemIds);
      await rate(count, 64, async (at) => {
        const ref: ActorRef = { tenant: "bench", kind: "conversation", id: ids[at] ?? "" };
        await writeConversation(writer.log, ref, turnsOf(events));
      });
      return ids;
    };
    const first = await write(warm);
    const others = await write(Math.max(20, Math.round(2_000 * scale)));
    const words = ["--expose-gc", "bench/awake-worker.ts", server.url, masterKey.toString("hex")];
    const worker = await run(words, /^waiting$/);
    const load = (ids: readonly string[]): Promise<Memory> =>
      new Promise((resolve, reject) => {
        worker.child.once("message", (memory) => resolve(memory as Memory)); // bench/awake-worker.ts
        void worker.gone.then(() => reject(new Error(`it ended: ${worker.trouble()}`)));
        worker.child.send({ ids });
      });
    const before = await load(first);
    const after = await load(others);
    const loaded = after.awake - before.awake;
    if (loaded !== others.length) throw new Error(`only ${loaded} of ${others.length} are awake`);
    print(figure("awake", "heap_bytes_per_actor", (after.heap - before.heap) / loaded, "B"));
    const resident = (after.resident - before.resident) / loaded;
    print(figure("awake", "resident_bytes_per_actor", resident, "B"));
    await worker.end();
  } finally {
    await writer.streams.close();
    await streams.close();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
