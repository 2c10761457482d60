/**
 * Reads messages of one subject in bounded batches, by direct get: quick, but from any replica, so
 * the end of a batch is not the end of the log (`log.ts` asks the leader where that is).
 *
 * The client's iterator leaks one subscription a call; its callback form does not (3.4.0, tried).
 */
import type { DirectBatchOptions, StoredMsg } from "@nats-io/jetstream";
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../connection.ts";

/** Messages and bytes of one batch: what a reader holds in memory beside what it keeps. */
const batch_messages = 256;
const batch_bytes = 4 * 1024 * 1024;

export interface Batch {
  readonly messages: readonly StoredMsg[];
  /** Whether more of them were there when the batch was read. */
  readonly more: boolean;
}

/** Up to a batch of `subject`'s messages in order, from a stream sequence or a time on. */
export function readBatch(
  streams: Streams,
  stream: string,
  subject: string,
  from: { readonly seq: number } | { readonly start_time: Date },
): Promise<Batch> {
  const reading = new Promise<Batch>((resolve, reject) => {
    const messages: StoredMsg[] = [];
    let timer: NodeJS.Timeout | undefined;
    let stop = (): void => undefined;
    const finish = (error?: Error): void => {
      clearTimeout(timer);
      if (error === undefined) resolve({ messages, more: (messages.at(-1)?.pending ?? 0) > 0 });
      else reject(error);
    };
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        finish(new Error(`${stream} did not answer in ${limits.append_timeout_ms} ms`));
        stop();
      }, limits.append_timeout_ms);
    };
    const options: DirectBatchOptions = {
      ...from,
      next_by_subj: subject,
      batch: batch_messages,
      max_bytes: batch_bytes,
      callback(done, message) {
        if (done === null) {
          messages.push(message);
          wait();
        } else {
          // 404: nothing from there on.
          const nothing = done.err !== undefined && "code" in done.err && done.err.code === 404;
          finish(nothing ? undefined : done.err);
        }
      },
    };
    wait();
    streams.jsm.direct.getBatch(stream, options).then((iterator) => {
      stop = () => iterator.stop();
    }, finish);
  });
  return streams.tracked(reading);
}
