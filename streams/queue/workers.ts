/**
 * Who works here: every worker keeps an entry in KV `WORKERS` alive by a heartbeat, and looks once a
 * beat who else does. Looking, rather than watching, needs nothing to be set up again after a loss.
 * This is for sharing out work and for finding the dead (liveness); what keeps two owners from doing
 * harm is the append.
 */
import { JetStreamApiCodes, JetStreamApiError } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { deadline } from "@nats-io/transport-node";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { isWorkerEntry, type WorkerEntry } from "../../schemas/ownership.ts";
import { parseJson } from "../../schemas/validate.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { workers_bucket } from "../topology.ts";

export interface Workers {
  /** This process's id; new at every start. */
  readonly id: string;
  /** When our present entry was created, by our clock; null while we have none. */
  since_ms(): number | null;
  /** Those with an entry, sorted; without ourselves while our own entry is lost. */
  members(): readonly string[];
  /**
   * Whether a worker is gone for certain: no entry of it for one full TTL since our own entry was
   * last created. Never true of ourselves.
   */
  gone(worker: string): boolean;
  /** What our entry says from the next beat on: the pins that we hold, by partition. */
  announce(pins: () => ReadonlyMap<number, string>): void;
  /** Calls back when `members` changed or a worker may have become gone; the result ends it. */
  changes(call: () => void): () => void;
  /** Takes our entry away, so that others need not wait for its end. */
  leave(): Promise<void>;
}

const wrong_last = JetStreamApiCodes.StreamWrongLastSequence;
const ttl_ms = limits.worker_ttl_ms;
const stream = `KV_${workers_bucket}`;
const prefix = `$KV.${workers_bucket}.`;
/** A worker that was not seen for this long is forgotten: nobody asks for it any more. */
const forgotten_ms = 20 * ttl_ms;

/**
 * Creates our entry; `id` must be new, and `where` tells an operator which process it is. Throws
 * `AppError("unavailable")`.
 */
export async function joinWorkers(
  streams: Streams,
  options: { id: string; clock: Clock; where?: string },
): Promise<Workers> {
  const { id, clock, where = "" } = options;
  const calls = new Set<() => void>();
  /** When an entry of each worker was last seen. */
  const seen = new Map<string, number>();
  let present: readonly string[] = [];
  let told = "";
  let entry: Entry | null = null;
  let left = false;
  let pinned: () => ReadonlyMap<number, string> = () => new Map();
  let cancel = (): void => undefined;

  const alive = (): boolean => entry !== null && clock.now() - entry.renewed_ms < ttl_ms;
  const members = (): readonly string[] =>
    alive() ? present : present.filter((worker) => worker !== id);
  const gone = (worker: string): boolean => {
    // Without a live entry of our own, it may be we who are cut off.
    if (worker === id || entry === null || !alive()) return false;
    const absent_since = Math.max(entry.created_ms, seen.get(worker) ?? 0);
    return clock.now() - absent_since >= ttl_ms;
  };
  const tell = (): void => {
    const now = JSON.stringify([
      entry?.created_ms,
      members(),
      [...seen.keys()].filter(gone),
      gone("nobody"),
    ]);
    if (now === told || left) return;
    told = now;
    for (const call of [...calls]) call();
  };
  const beat = async (): Promise<void> => {
    const said: WorkerEntry = { where, pins: Object.fromEntries(pinned()) };
    entry = await renew(kv, { id, said: JSON.stringify(said) }, entry, clock);
    const { state } = await deadline(
      streams.jsm.streams.info(stream, { subjects_filter: `${prefix}*` }),
      limits.worker_beat_ms,
    );
    const now_ms = clock.now();
    present = Object.keys(state.subjects ?? {})
      .map((subject) => subject.slice(prefix.length))
      .sort();
    for (const worker of present) seen.set(worker, now_ms);
    for (const [worker, at_ms] of seen) if (now_ms - at_ms > forgotten_ms) seen.delete(worker);
  };
  const go = (): void => {
    cancel = clock.after(limits.worker_beat_ms, () => {
      // One that fails is made good by the next, and by the TTL if none succeeds.
      void beat()
        .catch(() => undefined)
        .finally(() => {
          if (left) return;
          go();
          tell();
        });
    });
  };

  let kv: KV;
  try {
    kv = await new Kvm(streams.js).open(workers_bucket, { allow_direct: false });
    await beat();
  } catch (cause) {
    throw unavailable("The list of workers cannot be joined", cause);
  }
  go();
  tell();
  return {
    id,
    since_ms: () => (alive() ? (entry?.created_ms ?? null) : null),
    members,
    gone,
    announce(pins) {
      pinned = pins;
    },
    changes(call) {
      calls.add(call);
      return () => calls.delete(call);
    },
    async leave() {
      left = true;
      cancel();
      entry = null;
      // A deletion would leave a marker that looks like an entry; at worst the TTL ends it.
      await deadline(
        streams.jsm.streams.purge(stream, { filter: prefix + id }),
        limits.worker_beat_ms,
      ).catch(() => undefined);
    },
  };
}

/** Our entry. */
interface Entry {
  readonly revision: number;
  readonly created_ms: number;
  /** When the last renewal was sent, so that we never believe in it longer than others do. */
  readonly renewed_ms: number;
}

async function renew(
  kv: KV,
  { id, said }: { readonly id: string; readonly said: string },
  entry: Entry | null,
  clock: Clock,
): Promise<Entry> {
  const now_ms = clock.now();
  const timeout = limits.worker_beat_ms;
  if (entry !== null && now_ms - entry.renewed_ms < ttl_ms) {
    try {
      const revision = await kv.put(id, said, { previousSeq: entry.revision, timeout });
      return { ...entry, revision, renewed_ms: now_ms };
    } catch (error) {
      const moved = error instanceof JetStreamApiError && error.code === wrong_last;
      if (!moved) throw error;
      // Nobody else writes it: either a renewal landed without its answer, or the entry is lost.
      const there = await deadline(kv.get(id), timeout);
      if (there !== null) return { ...entry, revision: there.revision, renewed_ms: now_ms };
    }
  }
  const revision = await kv.put(id, said, { timeout });
  return { revision, created_ms: now_ms, renewed_ms: now_ms };
}

/** A worker that has an entry now. */
export interface Present {
  readonly id: string;
  /** Which process it is, for people; "" when it did not say. */
  readonly where: string;
  /** What it calls its own: the server's name of each pin, by partition. */
  readonly pins: ReadonlyMap<number, string>;
}

/** Who has an entry now, by id. Throws `AppError("unavailable")`. */
export async function presentWorkers(streams: Streams): Promise<Present[]> {
  const { jsm } = streams;
  try {
    const { state } = await streams.tracked(
      jsm.streams.info(stream, { subjects_filter: `${prefix}*` }),
    );
    const subjects = Object.keys(state.subjects ?? {}).sort();
    return await Promise.all(
      subjects.map(async (subject) => {
        const asking = jsm.streams.getMessage(stream, { last_by_subj: subject });
        const entry = await streams.tracked(asking);
        const value = parseJson(entry?.string() ?? "");
        const said = isWorkerEntry(value) ? value : { where: "", pins: {} };
        const pins = Object.entries(said.pins).map(([at, pin]) => [Number(at), pin] as const);
        return { id: subject.slice(prefix.length), where: said.where, pins: new Map(pins) };
      }),
    );
  } catch (cause) {
    throw unavailable("The list of workers cannot be read", cause);
  }
}
