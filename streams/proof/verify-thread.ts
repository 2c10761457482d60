/** A thread of `verify.ts`: reads one part of the log by a connection of its own and hands over what it found. */
import { strict as assert } from "node:assert";
import { parentPort, workerData } from "node:worker_threads";
import { connectStreams } from "../connection.ts";
import { readPart, type Task } from "./task.ts";
import type { Said } from "./verify.ts";

assert(parentPort !== null, "it is a thread of verify.ts");
const port = parentPort;
const { url, task } = workerData as { url: string; task: Task }; // what verify.ts gives it
const say = (said: Said, moved: ArrayBuffer[] = []): void => port.postMessage(said, moved);

try {
  const streams = await connectStreams({ url, name: "colloquy verify" });
  const read = await readPart(streams, task, (progress) => say({ progress }));
  const { numbers, hashes } = read.chained.ends;
  say({ read }, [numbers.buffer, hashes.buffer]);
  await streams.close();
} catch (error) {
  say({ failed: error instanceof Error ? error.message : String(error) });
}
