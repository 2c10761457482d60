/**
 * Makes the server match the table of `topology.ts`. What would lose data is refused with a sentence;
 * nothing is ever deleted here.
 */
import { JetStreamApiError, type StreamConfig, type StreamInfo } from "@nats-io/jetstream";
import { AppError } from "../schemas/errors.ts";
import type { Streams } from "./connection.ts";
import { unavailable } from "./faults.ts";
import { commands_stream, type Declared, topology } from "./topology.ts";

/**
 * Makes the server match the table, and again whenever the connection comes back: a single server
 * forgets its memory streams when it restarts. Safe to run from several processes at once. Throws
 * `AppError("unavailable")` with one sentence.
 */
export async function provision(
  streams: Streams,
  options: { partitions: number; replicas: 1 | 3 },
): Promise<void> {
  const table = topology(options.partitions, options.replicas);
  for (const declared of table) await ensure(streams, declared);
  const forgotten = table.filter(({ storage }) => storage === "memory");
  const making = new Set<Declared>();
  /** Until it is there: a server that is back may still not answer, without the link being lost. */
  const make = async (declared: Declared): Promise<void> => {
    if (making.has(declared)) return;
    making.add(declared);
    while (!streams.nc.isClosed()) {
      const made = await ensure(streams, declared).then(
        () => true,
        () => false,
      );
      if (made) break;
      await pause(again_ms);
    }
    making.delete(declared);
  };
  streams.onLink((up) => {
    if (up) for (const declared of forgotten) void make(declared);
  });
}
/** Between two tries to set up a stream. */
const again_ms = 500;
/** What a process waits for another to set the streams up. */
const wait_tries_max = 60;

/**
 * Resolves when the streams are there, for a process that may not make them (nats.conf gives that
 * right to workers). Throws `AppError("unavailable")` with one sentence after half a minute.
 */
export async function provisioned(streams: Streams, partitions: number): Promise<void> {
  for (const { name } of topology(partitions, 1)) {
    for (let tries = 1; (await infoOf(streams, name)) === null; tries++) {
      if (tries === wait_tries_max) {
        throw new AppError(
          "unavailable",
          `The stream ${name} is not there: workers make the streams; start one (--roles actors).`,
        );
      }
      await pause(again_ms);
    }
  }
  const stored = await storedPartitions(streams);
  if (stored === partitions) return;
  throw new AppError(
    "unavailable",
    `The stream ${commands_stream} was made for ${stored} partitions, not ${partitions}.`,
  );
}

const ensure = (streams: Streams, declared: Declared): Promise<void> =>
  settled(() => match(streams, declared));

/** A cluster that has just elected its leader answers so until it knows all of its peers. */
const settling: ReadonlySet<number> = new Set([
  10005, // no suitable peers
  10008, // temporarily unavailable
]);
const settling_tries_max = 20;

/** Asks a cluster again that is only starting, for ten seconds at most. */
export async function settled<T>(request: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await request();
    } catch (error) {
      const cause = error instanceof AppError ? error.cause : error;
      const passing = cause instanceof JetStreamApiError && settling.has(cause.code);
      if (!passing || tries === settling_tries_max) throw error;
      await pause(again_ms);
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function match(streams: Streams, declared: Declared): Promise<void> {
  const { jsm } = streams;
  const found = await infoOf(streams, declared.name);
  try {
    if (found === null) {
      await streams.tracked(jsm.streams.add(declared));
      return;
    }
    const change = changeOf(found, declared);
    if (change !== null) await streams.tracked(jsm.streams.update(declared.name, change));
  } catch (cause) {
    // Somebody else may have made it in the same moment; then it must match, or we say why not.
    const now = cause instanceof AppError ? null : await infoOf(streams, declared.name);
    if (now !== null && changeOf(now, declared) === null) return;
    throw unavailable(`The stream ${declared.name} could not be set up`, cause);
  }
}

async function infoOf(streams: Streams, name: string): Promise<StreamInfo | null> {
  try {
    return await streams.tracked(streams.jsm.streams.info(name));
  } catch (cause) {
    if (cause instanceof Error && cause.message === "stream not found") return null;
    throw unavailable(`The stream ${name} could not be looked up`, cause);
  }
}

/** What a stream cannot change without being made anew. */
const fixed = ["storage", "retention", "persist_mode", "no_ack"] as const;
/** Limits where a smaller number drops messages; 0 and less mean "no limit". */
const dropping = ["max_age", "max_bytes", "max_msgs", "max_msgs_per_subject"] as const;
/** What the server says of a field that a declaration leaves out. */
const defaults: Partial<StreamConfig> = {
  retention: "limits",
  max_age: 0,
  max_bytes: -1,
  max_msgs: -1,
  max_msgs_per_subject: -1,
  num_replicas: 1,
};

const bound = (limit: number | undefined): number =>
  limit === undefined || limit <= 0 ? Number.POSITIVE_INFINITY : limit;
const partitionsOf = (config: Partial<StreamConfig>): string =>
  /partition\((\d+),/.exec(config.subject_transform?.dest ?? "")?.[1] ?? "no";

/** How many partitions COMMANDS was made for; 0 when it is not there. */
export async function storedPartitions(streams: Streams): Promise<number> {
  const found = await infoOf(streams, commands_stream);
  return found === null ? 0 : Number(partitionsOf(found.config)) || 0;
}

/** The update that makes `found` match; null when it does. Throws when that would lose data. */
export function changeOf(found: StreamInfo, declared: Declared): Partial<StreamConfig> | null {
  const { config, state } = found;
  const wanted: Declared = { ...defaults, ...declared };
  const refuse = (why: string): never => {
    throw new AppError("unavailable", `The stream ${wanted.name} ${why}`);
  };
  if (partitionsOf(config) !== partitionsOf(wanted)) {
    refuse(
      `was made for ${partitionsOf(config)} partitions, not ${partitionsOf(wanted)}: start with as many as it has, or drain it and remove it.`,
    );
  }
  for (const field of fixed) {
    // The server leaves out what is off.
    if ((config[field] || undefined) === (wanted[field] || undefined)) continue;
    refuse(
      `has ${field} "${config[field] ?? "default"}", not "${wanted[field] ?? "default"}", and cannot change it without losing what it holds.`,
    );
  }
  for (const field of dropping) {
    if (bound(wanted[field]) >= bound(config[field])) continue;
    // What lies in memory is disposable, and an empty stream has nothing to lose.
    if (wanted.storage === "memory" || state.messages === 0) continue;
    refuse(
      `keeps more than this release asks for (${field} is ${config[field]}, not ${wanted[field]}); making it smaller would lose data.`,
    );
  }
  // More replicas than asked for are the operator's decision, and not ours to take away.
  const num_replicas = Math.max(config.num_replicas, wanted.num_replicas ?? 1);
  const update = { ...wanted, num_replicas };
  const present = new Map<string, unknown>(Object.entries(config));
  const same = Object.entries(update).every(
    ([field, value]) =>
      JSON.stringify(present.get(field) ?? false) === JSON.stringify(value ?? false),
  );
  return same ? null : update;
}
