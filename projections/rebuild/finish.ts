/**
 * The last step of a rebuild and the whole of a rollback: one transaction holds the generation and the
 * live one, brings the one to where the other stands, and swaps them. Then it is fed until a runner
 * does, so that nothing stands still in between.
 */
import { AppError } from "../../schemas/errors.ts";
import type { Clock } from "../../schemas/ids.ts";
import { gather } from "../batches.ts";
import { type Generation, lockLive, lockOne, readGenerations } from "../generations.ts";
import { LostRace, openLane } from "../lane.ts";
import type { LogSource } from "../log-source.ts";
import type { Database } from "../postgres.ts";
import { shownBy } from "../tables.ts";
import { advance, tail_max } from "./advance.ts";
import { fill } from "./fill.ts";
import { isHeld, lockShortly, swapIn } from "./swap.ts";

export interface FinishPorts {
  readonly source: LogSource;
  readonly database: Database;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Tells readers how far a live read model has come. */
  readonly announce: (projector: string, sequence: number) => void;
  /** Says why it waits. */
  readonly waits: (why: string) => void;
  /** How long it goes on feeding what it made live, unless a runner does before. */
  readonly handover_ms?: number;
}

/** Makes the generation live. Throws `Poisoned`, `Hole`; resolves early only when told to stop. */
export async function finish(ports: FinishPorts, one: Generation): Promise<void> {
  const { database, clock, signal } = ports;
  const { name } = one.projector;
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const found = await readGenerations(database);
      const own = found.find((each) => each.name === name && each.generation === one.generation);
      const live = found.find((each) => each.name === name && each.state === "live");
      if (own === undefined || live === undefined) {
        throw new AppError("bad_request", `Generation ${one.generation} of ${name} is gone.`);
      }
      if (own.state === "live") return;
      if (live.position - own.position > tail_max) {
        await fill({ progress: () => undefined, ...ports }, [one], live.position);
      } else if (await swap(ports, one)) return;
      failures = 0;
    } catch (error) {
      // Held by others, another feeder was quicker, or the database is away for a moment.
      const passing = error instanceof AppError && error.code === "unavailable";
      if (!passing && !(error instanceof LostRace)) throw error;
      if (isHeld(error) && failures % 10 === 9) {
        ports.waits(`The views of ${name} are being read without a pause; trying again.`);
      } else if (passing && !isHeld(error)) ports.waits(error.message);
      const ms = Math.min(50 * 2 ** Math.min(failures, 5), 1_000);
      await new Promise<void>((resolve) => void clock.after(ms, resolve));
    }
  }
}

/**
 * In one transaction: holds both, brings the new one to where the live one stands, and lets the views
 * show it. False when there is too much to bring, so that it is to be filled first.
 */
async function swap(ports: FinishPorts, one: Generation): Promise<boolean> {
  const { name, version } = one.projector;
  const position = await ports.database.transaction(async (sql) => {
    await lockShortly(sql);
    const own = await lockOne(sql, one);
    const live = await lockLive(sql, name);
    if (live === null || live.position - own > 2 * tail_max) return null;
    const reached = await advance(ports, sql, one, live.position);
    const named = { name, version, generation: one.generation };
    return (await swapIn(sql, named, reached, shownBy(one.projector))) === null ? reached : null;
  });
  if (position !== null) ports.announce(name, position);
  return position !== null;
}

/** A runner looks every second for what it is to feed; this long it may take. */
const handover_usual_ms = 3_000;

/** Feeds what has become live until a runner does, or until it is clear that there is none. */
export async function handOver(ports: FinishPorts, one: Generation): Promise<void> {
  const { database, source, clock } = ports;
  // A listener that comes late is never told.
  if (ports.signal.aborted) return;
  const reading = new AbortController();
  const stop = (): void => reading.abort();
  ports.signal.addEventListener("abort", stop);
  const cancel = clock.after(ports.handover_ms ?? handover_usual_ms, stop);
  try {
    const lane = await openLane(database, one);
    const from = lane.checkpoint().position;
    ports.announce(one.projector.name, from);
    const batches = source.read({ after: from, signal: reading.signal });
    for await (const batch of gather(batches, clock)) {
      if (reading.signal.aborted) return;
      await lane.apply(batch);
      ports.announce(one.projector.name, lane.checkpoint().position);
    }
  } catch {
    // Somebody else feeds it, or will: it is live, and a runner needs nobody's help.
  } finally {
    cancel();
    reading.abort();
    ports.signal.removeEventListener("abort", stop);
  }
}
