/**
 * Writers that append to conversations while the servers under them are in trouble, and the account
 * of it afterwards: every acknowledged commit is in the log exactly once, and every chain holds.
 */
import { expect } from "vitest";
import {
  type Commit,
  type CommitDraft,
  empty_head,
  type Head,
  headOf,
} from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import type { Log } from "../../streams/log/log.ts";
import { all, type Client, draft, newRef, said } from "./system.ts";
import { pulse } from "../support/pulse.ts";

export interface Writers {
  readonly refs: readonly ActorRef[];
  /** Commits whose append was acknowledged. */
  acknowledged(): number;
  /** Resolves when every writer has had so many more appends acknowledged. */
  more(count: number): Promise<void>;
  /** Resolves when so many refusals were met. */
  refused(count: number): Promise<void>;
  /** Codes of the refusals that the writers met; a refused append was tried again. */
  readonly refusals: readonly string[];
  /** Lost appends of actors that have only one writer: there must be none. */
  readonly conflicts: readonly string[];
  stop(): Promise<void>;
  /** Compares the log with what was acknowledged; the commits by actor. */
  account(log: Log): Promise<Map<string, readonly Commit[]>>;
}

/** Asks again while the log is away, as somebody does whose own connection comes back last. */
export async function patiently<T>(request: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await request();
    } catch (error) {
      if (!(error instanceof AppError && error.code === "unavailable")) throw error;
    }
  }
}

/** Each client writes to `own` actors of its own, and all of them to one actor in common. */
export function startWriters(clients: readonly Client[], own: number): Writers {
  const drafted = new Set<string>();
  const acknowledged = new Map<string, string[]>();
  const refusals: string[] = [];
  const conflicts: string[] = [];
  const counts: number[] = [];
  const news = pulse();
  let stopped = false;

  const persistently = async <T>(request: () => Promise<T>): Promise<T | null> => {
    while (!stopped) {
      try {
        return await request();
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        refusals.push(error.code);
        news.beat();
      }
    }
    return null;
  };
  const headIn = async (log: Log, ref: ActorRef): Promise<Head> => {
    const last = await log.last(ref);
    return last === null ? empty_head : headOf(last);
  };
  const write = async ({ log }: Client, ref: ActorRef, alone: boolean): Promise<void> => {
    const writer = counts.push(0) - 1;
    let head = empty_head;
    for (let count = 1; !stopped; count++) {
      const decision: CommitDraft = draft(ref, [said(`${writer}.${count}`)]);
      drafted.add(decision.commit);
      const done = await persistently(() => log.append(decision, head));
      if (done?.ok === true) {
        acknowledged.get(refKey(ref))?.push(decision.commit);
        head = done.head;
        counts[writer] = (counts[writer] ?? 0) + 1;
        news.beat();
      } else if (done !== null) {
        if (alone) conflicts.push(`${refKey(ref)} at ${head.sequence}`);
        head = (await persistently(() => headIn(log, ref))) ?? head;
      }
    }
  };

  const shared = newRef();
  const refs = [shared];
  const writing = clients.map((client) => {
    const mine = Array.from({ length: own }, () => newRef());
    refs.push(...mine);
    return [write(client, shared, false), ...mine.map((ref) => write(client, ref, true))];
  });
  for (const ref of refs) acknowledged.set(refKey(ref), []);
  const done = Promise.all(writing.flat());
  const ended = done.then(() => undefined);
  // Met by `stop`; until then it must not count as unhandled.
  ended.catch(() => undefined);

  return {
    refs,
    refusals,
    conflicts,
    acknowledged: () => counts.reduce((sum, count) => sum + count, 0),
    more(count) {
      const wanted = counts.map((now) => now + count);
      const reached = (): boolean =>
        wanted.every((least, writer) => (counts[writer] ?? 0) >= least);
      return Promise.race([news.until(reached), ended]);
    },
    refused: (count) => Promise.race([news.until(() => refusals.length >= count), ended]),
    async stop() {
      stopped = true;
      await done;
    },
    async account(log) {
      const found = new Map<string, readonly Commit[]>();
      for (const ref of refs) {
        const key = refKey(ref);
        const commits = await patiently(() => all(log.read(ref, empty_head)));
        const ids = commits.map(({ commit }) => commit);
        expect(new Set(ids).size, `${key} holds a commit twice`).toBe(ids.length);
        const lost = (acknowledged.get(key) ?? []).filter((id) => !ids.includes(id));
        expect(lost, `${key} has lost acknowledged commits`).toEqual([]);
        expect(ids.filter((id) => !drafted.has(id))).toEqual([]);
        found.set(key, commits);
      }
      return found;
    },
  };
}
