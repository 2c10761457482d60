/**
 * Where the log stood at a time, by what its commits say themselves: after an import the server's own
 * times are those of the import. Clocks of workers differ by little, so the log is as good as ordered.
 */
import { openCommit } from "../log/codec.ts";
import type { Streams } from "../connection.ts";
import { DamagedCommit, unavailable } from "../faults.ts";
import { fromLeader } from "../leader.ts";

/** The first sequence whose commit was made at `time_ms` or later; `last` + 1 when none was. */
export async function sequenceAt(streams: Streams, time_ms: number, last: number): Promise<number> {
  let [low, high] = [1, last + 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const { at_ms, sequence } = await madeFrom(streams, middle, high);
    // From `middle` to there nothing tells its time.
    if (at_ms >= time_ms) high = middle;
    else low = sequence + 1;
  }
  return low;
}

/** The first commit from `sequence` on that says when it was made; infinitely late when none does. */
async function madeFrom(
  streams: Streams,
  sequence: number,
  end: number,
): Promise<{ readonly at_ms: number; readonly sequence: number }> {
  for (let seq = sequence; seq < end; seq++) {
    try {
      const message = await fromLeader(streams, { seq });
      if (message === null) continue;
      const { stored } = openCommit(
        message.data,
        { subject: message.subject, sequence: seq },
        null,
      );
      return { at_ms: Date.parse(stored.at), sequence: seq };
    } catch (error) {
      if (!(error instanceof DamagedCommit)) throw unavailable("The log cannot be read", error);
    }
  }
  return { at_ms: Number.POSITIVE_INFINITY, sequence: end };
}
