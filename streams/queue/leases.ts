/**
 * Who runs what there should be one of: every name has an entry in KV `LEASES` while somebody renews
 * it. This elects (liveness); two that run the same at once must be harmless by other means.
 */
import { Kvm } from "@nats-io/kv";
import { deadline } from "@nats-io/transport-node";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { leases_bucket } from "../topology.ts";

export interface Leases {
  /** Whether it is ours now, as far as we can know. */
  held(name: string): boolean;
  /** Calls back when an answer may have changed; the result ends it. */
  changes(call: () => void): () => void;
  /** Gives all of them back. */
  release(): Promise<void>;
}

interface Lease {
  readonly revision: number;
  /** When its last renewal was sent, so that we never believe in it longer than others do. */
  readonly renewed_ms: number;
}

/** Tries to hold all of `names`, now and at every beat. Throws `AppError("unavailable")`. */
export async function holdLeases(
  streams: Streams,
  names: readonly string[],
  options: { holder: string; clock: Clock },
): Promise<Leases> {
  const { holder, clock } = options;
  const calls = new Set<() => void>();
  const leases = new Map<string, Lease>();
  let told = "";
  let released = false;
  let cancel = (): void => undefined;
  const kv = await new Kvm(streams.js)
    .open(leases_bucket, { allow_direct: false })
    .catch((cause: unknown) => {
      throw unavailable("The leases cannot be reached", cause);
    });

  const held = (name: string): boolean => {
    const lease = leases.get(name);
    return lease !== undefined && clock.now() - lease.renewed_ms < limits.worker_ttl_ms;
  };
  const tell = (): void => {
    const now = names.filter(held).join(" ");
    if (now === told || released) return;
    told = now;
    for (const call of [...calls]) call();
  };
  const renew = async (name: string): Promise<void> => {
    const sent_ms = clock.now();
    // 0: only when there is none. An entry ends by its TTL, soon after whoever held it.
    const previousSeq = leases.get(name)?.revision ?? 0;
    try {
      const timeout = limits.worker_beat_ms;
      const revision = await kv.put(name, holder, { previousSeq, timeout });
      leases.set(name, { revision, renewed_ms: sent_ms });
    } catch {
      // Lost, or not reachable, or our own renewal landed without its answer: then it is ours still.
      const entry = await deadline(kv.get(name), limits.worker_beat_ms).catch(() => null);
      if (entry?.operation === "PUT" && entry.string() === holder) {
        leases.set(name, { revision: entry.revision, renewed_ms: sent_ms });
      } else if (entry !== null || !held(name)) {
        leases.delete(name);
      }
    }
  };
  const beat = async (): Promise<void> => {
    await Promise.all(names.map(renew));
    tell();
  };
  const go = (): void => {
    cancel = clock.after(limits.worker_beat_ms, () => {
      void beat().finally(() => (released ? undefined : go()));
    });
  };
  await beat();
  go();
  return {
    held,
    changes(call) {
      calls.add(call);
      return () => calls.delete(call);
    },
    async release() {
      released = true;
      cancel();
      const ours = names.filter(held);
      leases.clear();
      // A purge leaves no marker that would look like an entry; at worst the TTL ends it.
      const purge = (name: string): Promise<unknown> =>
        deadline(
          streams.jsm.streams.purge(`KV_${leases_bucket}`, {
            filter: `$KV.${leases_bucket}.${name}`,
          }),
          limits.worker_beat_ms,
        );
      await Promise.allSettled(ours.map(purge));
    },
  };
}
