/**
 * What commands are measured beside: the same way through the same server without us. A command is
 * published and stored, pulled by another process, answered by an append with expected sequence,
 * replied to and acknowledged; no actor, no signature, no seal, no hash.
 */
import type { Streams } from "../streams/connection.ts";
import { type Started, run } from "./processes.ts";

export interface BareLoop {
  /** Of its worker. */
  readonly pid: number;
  /** One command of `bytes`; resolves when it is stored and its answer is. */
  command(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
}

/** Starts the loop on a server; every answer has `answer_bytes`. */
export async function startBareLoop(
  streams: Streams,
  natsUrl: string,
  answer_bytes: number,
): Promise<BareLoop> {
  const { nc, js, jsm } = streams;
  const file = { storage: "file" } as const;
  await jsm.streams.add({ name: "IN", subjects: ["in.*"], retention: "workqueue", ...file });
  await jsm.streams.add({ name: "OUT", subjects: ["out.*"], ...file });
  await jsm.consumers.add("IN", {
    durable_name: "all",
    ack_policy: "explicit",
    max_ack_pending: 10_000,
  });
  const waiting = new Map<string, () => void>();
  nc.subscribe("answer.*", {
    callback(_error, { subject }) {
      const id = subject.slice("answer.".length);
      waiting.get(id)?.();
      waiting.delete(id);
    },
  });
  const words = ["bench/bare-worker.ts", natsUrl, `${answer_bytes}`];
  const worker: Started = await run(words, /^pulling$/);
  let next = 0;
  return {
    pid: worker.pid,
    async command(bytes) {
      const id = `${next++}`;
      const answered = new Promise<void>((resolve) => waiting.set(id, resolve));
      await Promise.all([js.publish(`in.${id}`, bytes), answered]);
    },
    async end() {
      await worker.end();
      await jsm.streams.delete("IN");
      await jsm.streams.delete("OUT");
    },
  };
}
