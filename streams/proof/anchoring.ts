/**
 * Anchors the log every now and then, in one of the workers: whoever holds the lease `anchors`. It
 * elects, no more; two at once are harmless (`anchor-rounds.ts`). Nothing waits for it, and whatever
 * goes wrong is tried again: no commit is forgotten, its anchor only comes later.
 */
import { limits } from "../../schemas/limits.ts";
import { openRounds, pause, type RoundParts, type Rounds } from "./anchor-rounds.ts";
import { fromLeader } from "../leader.ts";
import { holdLeases, type Leases } from "../queue/leases.ts";

const lease = "anchors";

export interface AnchoringOptions extends Omit<RoundParts, "signal"> {
  /** The holder of the lease. */
  readonly holder: string;
  readonly period_ms: number;
}

/** Throws `AppError("unavailable")` when the leases cannot be reached. */
export async function startAnchoring(
  options: AnchoringOptions,
): Promise<{ stop(): Promise<void> }> {
  const { streams, clock, holder } = options;
  const leases = await holdLeases(streams, [lease], { holder, clock });
  const ending = new AbortController();
  const running = run({ ...options, signal: ending.signal }, leases);
  return {
    async stop() {
      ending.abort();
      await running;
      await leases.release();
    },
  };
}

async function run(
  parts: AnchoringOptions & { readonly signal: AbortSignal },
  leases: Leases,
): Promise<void> {
  const { clock, period_ms, signal, report } = parts;
  let rounds: Rounds | null = null;
  let due_ms: number | null = null;
  let well = true;
  while (!signal.aborted) {
    try {
      if (!leases.held(lease)) {
        // Another goes on from what the log says, and so do we when it is ours again.
        rounds = null;
        due_ms = null;
        await pause(parts, limits.worker_beat_ms);
        continue;
      }
      rounds ??= await openRounds(parts);
      due_ms ??= await firstDue(parts, rounds.settled());
      if (clock.now() < due_ms) {
        await pause(parts, Math.min(due_ms - clock.now(), limits.worker_beat_ms));
        continue;
      }
      await rounds.next();
      due_ms = clock.now() + period_ms;
      well = true;
    } catch (error) {
      if (signal.aborted) return;
      // The first of a row: while the log is away each would be one more.
      if (well) report({ what: "the log could not be anchored; it is tried again", error });
      well = false;
      await pause(parts, limits.runner_backoff_ms_max);
    }
  }
}

/** No commit waits longer than a period for its anchor, however often processes start anew. */
async function firstDue(
  { streams, clock, period_ms }: AnchoringOptions,
  settled: number,
): Promise<number> {
  const oldest = await fromLeader(streams, { seq: settled + 1 });
  return (oldest === null ? clock.now() : oldest.time.getTime()) + period_ms;
}
