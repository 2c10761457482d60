/** Reading the whole log as fast as it comes, with nobody who decodes it. */
import type { Streams } from "../streams/connection.ts";
import { pullEvents } from "../streams/log/pulls.ts";

const at_once = 1_024;

/** Resolves with the commits per second. */
export async function replay(streams: Streams): Promise<number> {
  const { messages, last_seq } = (await streams.jsm.streams.info("EVENTS")).state;
  const began = performance.now();
  const pulling = await pullEvents(streams, 0);
  let sequence = 0;
  while (sequence < last_seq) {
    const taken = await pulling.take(at_once);
    if (taken.length === 0) throw new Error("the log could not be read to its end");
    sequence = taken.at(-1)?.sequence ?? sequence;
  }
  pulling.stop();
  return (messages * 1_000) / (performance.now() - began);
}
