/**
 * A duty that one process at a time has, by a lease. It begins when the lease is ours and its signal
 * ends when the lease is lost or we stop; what breaks it is reported once in a row and tried again
 * after a wait that grows. Two at once are possible for seconds, so a duty must bear that.
 */
import type { ActorRef, Clock } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Streams } from "../streams/connection.ts";
import { holdLeases } from "../streams/queue/leases.ts";

export interface DutyParts {
  readonly streams: Streams;
  readonly clock: Clock;
  /** The holder of the lease. */
  readonly holder: string;
  readonly report: (problem: { what: string; ref?: ActorRef; error?: unknown }) => void;
}

export interface Duty {
  readonly lease: string;
  /** What a report says when it breaks. */
  readonly trouble: string;
  /** Works until the signal, or throws. `well` says that it gets on, so that the waits begin anew. */
  run(signal: AbortSignal, well: () => void): Promise<void>;
  /** The lease is another's; called again and again while that is so. */
  idle?(): void;
}

/** Throws `AppError("unavailable")` when the leases cannot be reached. */
export async function holdDuty(
  { streams, clock, holder, report }: DutyParts,
  duty: Duty,
): Promise<{ stop(): Promise<void> }> {
  const leases = await holdLeases(streams, [duty.lease], { holder, clock });
  const ending = new AbortController();
  let session = new AbortController();
  let wake = (): void => undefined;
  const ended = leases.changes(() => {
    if (!leases.held(duty.lease)) session.abort();
    wake();
  });
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      const cancel = clock.after(ms, resolve);
      wake = () => {
        cancel();
        resolve();
      };
      if (ending.signal.aborted) wake();
    });
  let failures = 0;
  const run = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      if (!leases.held(duty.lease)) {
        duty.idle?.();
        await pause(limits.worker_beat_ms);
        continue;
      }
      session = new AbortController();
      try {
        await duty.run(session.signal, () => (failures = 0));
      } catch (error) {
        if (ending.signal.aborted) return;
        // The first of a row: while the server is away each would be one more.
        if (failures === 0) report({ what: duty.trouble, error });
        failures += 1;
      }
      const backoff_ms = limits.runner_backoff_ms * 2 ** Math.min(failures, 10);
      await pause(failures === 0 ? 0 : Math.min(backoff_ms, limits.runner_backoff_ms_max));
    }
  };
  const running = run();
  return {
    async stop() {
      ending.abort();
      session.abort();
      wake();
      await running;
      ended();
      await leases.release();
    },
  };
}
