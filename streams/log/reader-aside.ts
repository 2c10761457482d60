/**
 * Reads a long part of the log with a second thread, which pulls it and opens the boxes; what is left to
 * do here is to parse and check. For rebuilds, where one core would be the limit while another idles.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { type Logged, readBatches, type Reading } from "./reader.ts";
import { decodeUnsealedAll, type Unsealed } from "../content/unsealed.ts";
import type { Vault } from "../content/vault.ts";

/** How a thread of our own reaches the log; as `connectStreams` and `openVault` take it. */
export interface Access {
  readonly url: string;
  readonly masterKey: Uint8Array;
}

/** What the thread is given. */
export interface Aside {
  readonly access: Access;
  readonly after: number;
  readonly until: number;
}

/** Fewer commits are read sooner than a thread has started. */
const aside_min = 20_000;

/** Reads with a thread aside where that pays, else here. */
export const readFast = (
  streams: Streams,
  vault: Vault,
  access: Access,
  { until, ...options }: Reading,
): AsyncIterable<readonly Logged[]> =>
  until !== undefined && until - options.after >= aside_min
    ? readAside(access, { ...options, until })
    : readBatches(streams, vault, { ...options, ...(until === undefined ? {} : { until }) });

/** Arrays of the reader that lie ready here, or are being made ready: a few megabytes. */
const ahead_max = 4;
/**
 * Nothing there lives longer than an array. With V8's own 48 MB more of it is copied before it is dead:
 * with 64 MB for each half of the young generation, a rebuild used a third less (both threads so).
 */
const young_mb = 3 * 64;
/** What the thread may take to close its connection. */
const end_ms = 2_000;

/**
 * What `readBatches` gives with the same options, up to the sequence `until`. Throws
 * `AppError("unavailable")` when the thread cannot begin; what breaks later is mended as there.
 */
export async function* readAside(
  access: Access,
  options: Reading & { readonly until: number },
): AsyncGenerator<readonly Logged[]> {
  const { after, until, signal } = options;
  if (signal.aborted || after >= until) return;
  const thread = new Worker(new URL("./unsealing-thread.ts", import.meta.url), {
    workerData: { access, after, until } satisfies Aside,
    resourceLimits: { maxYoungGenerationSizeMb: young_mb },
  });
  const ready: Unsealed[] = [];
  const state: { ended: boolean; error: Error | null } = { ended: false, error: null };
  let wake = (): void => undefined;
  const stop = (): void => {
    thread.postMessage(0);
    wake();
  };
  thread.on("message", (unsealed: Unsealed) => {
    ready.push(unsealed);
    wake();
  });
  thread.once("error", (error: Error) => (state.error = error));
  const gone = once(thread, "exit").then(
    () => undefined,
    () => undefined,
  );
  void gone.then(() => {
    state.ended = true;
    wake();
  });
  signal.addEventListener("abort", stop);
  thread.postMessage(ahead_max);
  let position = after;
  try {
    while (!signal.aborted) {
      const unsealed = ready.shift();
      if (unsealed !== undefined) {
        thread.postMessage(1);
        const batch = decodeUnsealedAll(unsealed, options.hashes === "last");
        position = batch.at(-1)?.sequence ?? position;
        yield batch;
      } else if (position >= until) return;
      else if (state.error !== null) throw unavailable("The log cannot be read", state.error);
      else if (state.ended) throw unavailable("The log cannot be read", "its thread has ended");
      else await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    signal.removeEventListener("abort", stop);
    stop();
    const late = setTimeout(() => void thread.terminate(), end_ms);
    await gone;
    clearTimeout(late);
  }
}
