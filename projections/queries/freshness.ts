/**
 * Read-your-writes: waits until projectors have reached a sequence of the log. Announced positions
 * wake the waiters at once; since announcements can be lost, one shared select looks every
 * `poll_ms` while anybody waits, the first time at once only for a projector that was never heard of:
 * with a select for every waiter, commands over HTTP kept a connection busy with nothing else.
 */
import { AppError } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import type { Sql } from "../postgres.ts";

/** Follows announced positions (`followPositions` of streams/, bound to its connection). */
export type FollowPositions = (onPosition: (projector: string, sequence: number) => void) => {
  stop(): void;
};

export interface Freshness {
  /** Resolves at `sequence`; `AppError("stale")` after `min_seq_wait_ms`. */
  reached(projectors: readonly string[], sequence: number | undefined): Promise<void>;
  /** The positions as the database knows them. */
  positions(): Promise<Readonly<Record<string, number>>>;
  stop(): void;
}

const poll_ms = 200;

/** `want` tells a runner that is here what is waited for. */
export function watchFreshness(
  sql: Sql,
  follow: FollowPositions,
  want: (sequence: number) => void,
): Freshness {
  const known = new Map<string, number>();
  /** What the last select said: announced positions may be ahead of it, with the same rows. */
  let selected: Readonly<Record<string, number>> = {};
  const waiters = new Set<() => void>();
  let timer: NodeJS.Timeout | undefined;
  let selecting = false;
  let stopped = false;

  const wake = (): void => {
    for (const waiter of waiters) waiter();
  };
  const following = follow((projector, sequence) => {
    // A position never steps back here: a database begun anew shows its own in the select below.
    if (sequence > (known.get(projector) ?? 0)) known.set(projector, sequence);
    wake();
  });

  const positions = async (): Promise<Readonly<Record<string, number>>> => {
    const rows = await sql.query("SELECT name, position FROM read.positions");
    const found = Object.fromEntries(
      rows.map((row) => [String(row["name"]), Number(row["position"])]),
    );
    for (const [name, position] of Object.entries(found)) {
      const back = position < (selected[name] ?? 0);
      if (back || position > (known.get(name) ?? 0)) known.set(name, position);
    }
    selected = found;
    return found;
  };

  const poll = async (): Promise<void> => {
    if (selecting) return;
    selecting = true;
    // A database that is away now is what the waiters' deadline is for.
    await positions().catch(() => undefined);
    selecting = false;
    wake();
    if (waiters.size > 0) pollLater();
  };
  const pollLater = (): void => {
    if (stopped || selecting) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      if (waiters.size > 0) void poll();
    }, poll_ms);
  };

  return {
    positions,
    async reached(projectors, sequence) {
      if (sequence === undefined || sequence <= 0) return;
      const there = (): boolean => projectors.every((name) => (known.get(name) ?? 0) >= sequence);
      if (there()) return;
      want(sequence);
      await new Promise<void>((resolve, reject) => {
        const leave = (): void => {
          clearTimeout(deadline);
          waiters.delete(look);
        };
        const look = (): void => {
          if (!there()) return;
          leave();
          resolve();
        };
        const deadline = setTimeout(() => {
          leave();
          reject(new AppError("stale"));
        }, limits.min_seq_wait_ms);
        waiters.add(look);
        if (projectors.every((name) => known.has(name))) pollLater();
        else void poll();
      });
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      following.stop();
    },
  };
}
