/**
 * Snapshots in KV `SNAPSHOTS`: an actor as it stood behind one of its commits, so that loading it
 * reads a short tail and not its history. They are disposable: one that another version of the code
 * has made is not given out, and nothing that goes wrong here is more than lost time. Whether the
 * log agrees with one (revision, sequence and hash of its last commit) is checked where its tail is
 * read. They hold structure only; texts are sealed in the log.
 */
import { deadline } from "@nats-io/transport-node";
import { Kvm, type KV } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import type { Head } from "../../schemas/commit.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { kvKey } from "../../schemas/subjects.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { blobs_bucket, snapshots_bucket } from "../topology.ts";

export interface Snapshot {
  readonly head: Head;
  /** Plain JSON. */
  readonly state: unknown;
  readonly commits: readonly (readonly [command: string, revision: number, sequence: number])[];
}

export interface Snapshots {
  /** One that this version of the code has made; null when there is none. Never rejects. */
  load(ref: ActorRef): Promise<Snapshot | null>;
  /** Stores it some time; returns at once. Dropped when too much is on its way. */
  save(ref: ActorRef, snapshot: Snapshot): void;
}

/** What lies in the bucket. A snapshot that is too large for it lies in `BLOBS` under its key. */
type Stored =
  | ({ readonly code: string } & Snapshot)
  | { readonly code: string; readonly blob: string };

const decoder = new TextDecoder();

/**
 * `code` names the version of the code that folds events: a hash of its source. Throws
 * `AppError("unavailable")`.
 */
export async function openSnapshots(
  streams: Streams,
  options: {
    readonly code: string;
    readonly report: (problem: { what: string; error: unknown }) => void;
  },
): Promise<Snapshots> {
  const { code, report } = options;
  let pending_bytes = 0;
  let well = true;
  /** Says the first of a row of failures: while the server is away each would be one more. */
  const failed = (what: string, error: unknown): void => {
    if (well) report({ what, error });
    well = false;
  };
  let kv: KV;
  try {
    kv = await new Kvm(streams.js).open(snapshots_bucket);
  } catch (cause) {
    throw unavailable("The snapshots cannot be opened", cause);
  }
  const blobs = new Objm(streams.js);

  const find = async (ref: ActorRef): Promise<Snapshot | null> => {
    const entry = await kv.get(kvKey(ref));
    if (entry === null || entry.operation !== "PUT") return null;
    let stored = parse(entry.value);
    if (stored.code !== code) return null;
    if ("blob" in stored) {
      const bytes = await (await blobs.open(blobs_bucket, false)).getBlob(stored.blob);
      if (bytes === null) return null;
      stored = parse(bytes);
    }
    return stored.code === code && !("blob" in stored) ? stored : null;
  };
  const store = async (ref: ActorRef, bytes: Uint8Array): Promise<void> => {
    const key = kvKey(ref);
    if (bytes.length <= limits.snapshot_kv_bytes_max) {
      await kv.put(key, bytes);
      return;
    }
    const blob = blobOf(key);
    await (await blobs.open(blobs_bucket, false)).putBlob({ name: blob }, bytes);
    const pointer: Stored = { code, blob };
    await kv.put(key, JSON.stringify(pointer));
  };

  return {
    async load(ref) {
      try {
        return await deadline(find(ref), limits.snapshot_load_ms);
      } catch (error) {
        failed("a snapshot could not be read", error);
        return null;
      }
    },
    save(ref, snapshot) {
      const stored: Stored = { code, ...snapshot };
      const bytes = Buffer.from(JSON.stringify(stored));
      if (pending_bytes + bytes.length > limits.snapshots_pending_bytes_max) return;
      pending_bytes += bytes.length;
      store(ref, bytes)
        .then(
          () => (well = true),
          (error: unknown) => failed("a snapshot could not be stored", error),
        )
        .finally(() => (pending_bytes -= bytes.length));
    },
  };
}

/** Removes an actor's snapshot, wherever it lies. Throws what the client throws. */
export async function dropSnapshot(streams: Streams, ref: ActorRef): Promise<void> {
  const key = kvKey(ref);
  const purging = { filter: `$KV.${snapshots_bucket}.${key}` };
  await streams.tracked(streams.jsm.streams.purge(`KV_${snapshots_bucket}`, purging));
  const blobs = await streams.tracked(new Objm(streams.js).open(blobs_bucket, false));
  await streams.tracked(blobs.delete(blobOf(key)));
}

const blobOf = (key: string): string => `snapshot.${key}`;

// Only our own code writes there; what is not JSON is met by whoever asked.
const parse = (bytes: Uint8Array): Stored => JSON.parse(decoder.decode(bytes)) as Stored;
