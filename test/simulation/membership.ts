/** KV `WORKERS` as each worker sees it, by the rules of `streams/queue/workers.ts`. */
import type { Attempt, WorkerPort } from "../../actors/ports.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Life, Schedule } from "./schedule.ts";

export interface View extends WorkerPort {
  members(): readonly string[];
  /** One heartbeat; `lost` when it did not reach the server. True when our entry had ended before. */
  beat(lost: boolean): boolean;
  leave(): void;
}

const ttl_ms = limits.worker_ttl_ms;

type Answer = (ref: ActorRef, attempt: Attempt) => boolean;

export function createMembership({
  now,
  after,
}: Schedule): (id: string, life: Life, latency: () => number) => View {
  const ends_ms = new Map<string, number>();
  const answers = new Map<string, { readonly life: Life; readonly call: Answer }>();
  const present = (): string[] =>
    [...ends_ms]
      .filter(([, end_ms]) => end_ms > now())
      .map(([id]) => id)
      .sort();

  return (id, life, latency) => {
    const calls = new Set<() => void>();
    const seen = new Map<string, number>();
    let known: readonly string[] = [];
    let created_ms = 0;
    let renewed_ms: number | null = null;
    let told = "";
    const alive = (): boolean => renewed_ms !== null && now() - renewed_ms < ttl_ms;
    const gone = (worker: string): boolean =>
      worker !== id && alive() && now() - Math.max(created_ms, seen.get(worker) ?? 0) >= ttl_ms;
    const members = (): readonly string[] =>
      alive() ? known : known.filter((worker) => worker !== id);
    return {
      id,
      gone,
      members,
      changes(call) {
        calls.add(call);
        return () => calls.delete(call);
      },
      ask: (worker, ref, attempt) =>
        new Promise((resolve) => {
          after(limits.worker_ask_ms, life, "timer", () => resolve(null));
          const asked = answers.get(worker);
          if (asked === undefined) return;
          after(latency(), asked.life, "is asked", () => {
            const runs = asked.call(ref, attempt);
            after(latency(), life, `is told ${runs}`, () => resolve(runs));
          });
        }),
      answer(call) {
        answers.set(id, { life, call });
        return () => answers.delete(id);
      },
      beat(lost) {
        const lapsed = renewed_ms !== null && !alive();
        if (!lost) {
          if (!alive()) created_ms = now();
          renewed_ms = now();
          ends_ms.set(id, now() + ttl_ms);
          known = present();
          for (const worker of known) seen.set(worker, now());
        }
        const words = JSON.stringify([members(), [...seen.keys()].filter(gone), gone("nobody")]);
        if (words !== told) {
          told = words;
          for (const call of [...calls]) call();
        }
        return lapsed;
      },
      leave: () => void ends_ms.delete(id),
    };
  };
}
