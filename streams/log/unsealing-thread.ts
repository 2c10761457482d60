/** A thread that reads the log and opens boxes, as far ahead as it is told: see `reader-aside.ts`. */
import { parentPort, workerData } from "node:worker_threads";
import { connectStreams } from "../connection.ts";
import { readThrough } from "./reader.ts";
import type { Aside } from "./reader-aside.ts";
import { unsealAll } from "../content/unsealed.ts";
import { openVault } from "../content/vault.ts";

const { access, after, until } = workerData as Aside; // what `readAside` passes
const stopping = new AbortController();
let credit = 0;
let wake = (): void => undefined;
parentPort?.on("message", (more: number) => {
  if (more === 0) stopping.abort();
  credit += more;
  wake();
});

const { masterKey, ...server } = access;
const streams = await connectStreams({ ...server, name: "colloquy reader" });
try {
  const vault = await openVault(streams, masterKey);
  const options = { after, until, signal: stopping.signal };
  const reading = readThrough(streams, options, (arrived) => unsealAll(arrived, vault));
  for await (const unsealed of reading) {
    while (credit === 0 && !stopping.signal.aborted) {
      await new Promise<void>((resolve) => (wake = resolve));
    }
    if (stopping.signal.aborted) break;
    credit -= 1;
    parentPort?.postMessage(unsealed, [unsealed.bytes, unsealed.numbers.buffer]);
  }
} finally {
  await streams.close();
  parentPort?.close();
}
