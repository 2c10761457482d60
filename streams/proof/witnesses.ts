/**
 * Who else remembers a place of the log: its sequence and the hash of the bytes there. The log must hold
 * it, since whoever remembers it has read it there; a log that ends before it has lost something.
 */
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { snapshots_bucket } from "../topology.ts";
import { read } from "./scan.ts";
import type { Finding } from "./state.ts";

export interface Witness {
  /** Who remembers, as a sentence begins. */
  readonly who: string;
  readonly sequence: number;
  /** SHA-256 of the stored bytes, hex. */
  readonly hash: string;
}

/** What a witness says against a log that ends at `last`; `hash` is what stands there, if it was met. */
export function disagreement(
  { who, sequence, hash }: Witness,
  last: number,
  found: string | undefined,
): Finding | null {
  const where = { what: "disagrees", first: sequence, last: sequence } as const;
  if (sequence > last) {
    const sentence = `${who} has seen a commit at ${sequence}, but the log ends at ${last}: commits are missing.`;
    return { ...where, sentence };
  }
  if (found === undefined || found === hash) return null;
  return { ...where, sentence: `${who} has seen another commit at ${sequence} than stands there.` };
}

/** Snapshots that are compared; of more, the ones that have seen the most. */
const snapshots_max = 100_000;
const decoder = new TextDecoder();
/** How a snapshot begins (`snapshots.ts`); the rest of it is not needed. */
const head_bytes_max = 512;
const head = /"head":\{"revision":\d+,"sequence":(\d+),"hash":"([0-9a-f]{64})"\}/;

/**
 * What the snapshots of actors remember: of all of them, or of those among the last `newest_max` that
 * were written. Throws `AppError("unavailable")`.
 */
export async function snapshotWitnesses(
  streams: Streams,
  newest_max = Number.POSITIVE_INFINITY,
): Promise<Witness[]> {
  const prefix = `$KV.${snapshots_bucket}.`;
  const stream = `KV_${snapshots_bucket}`;
  let found: Witness[] = [];
  try {
    const { state } = await streams.tracked(streams.jsm.streams.info(stream));
    const part = {
      from: Math.max(1, state.last_seq - newest_max + 1),
      to: state.last_seq,
      filter: null,
    };
    if (state.messages === 0) return [];
    await read(streams, stream, part, (_, subject, data) => {
      const [, sequence, hash] = head.exec(decoder.decode(data.subarray(0, head_bytes_max))) ?? [];
      if (sequence === undefined || hash === undefined) return;
      const who = `The snapshot of ${subject.slice(prefix.length)}`;
      found.push({ who, sequence: Number(sequence), hash });
      if (found.length === 2 * snapshots_max) found = newest(found);
    });
  } catch (cause) {
    if (cause instanceof Error && cause.message === "stream not found") return [];
    throw unavailable("The snapshots cannot be read", cause);
  }
  return newest(found);
}

const newest = (witnesses: readonly Witness[]): Witness[] =>
  witnesses.toSorted((a, b) => b.sequence - a.sequence).slice(0, snapshots_max);
