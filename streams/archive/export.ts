/**
 * Writes the log out as files: stored bytes as they are, with their headers and times, by day and
 * tenant, in segments that are each finished before the manifest names them. Whoever is killed goes
 * on behind the last segment; an export of yesterday goes on today.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Manifest } from "../../schemas/archive.ts";
import { eventFilter, parseEventSubject } from "../../schemas/subjects.ts";
import { logState } from "../proof/state.ts";
import { hashOf } from "../log/codec.ts";
import type { Streams } from "../connection.ts";
import { fromLeader } from "../leader.ts";
import { type Arrived, pullEvents } from "../log/pulls.ts";
import { best_compression, openSegment, type Segment } from "./files.ts";
import { exportKeys } from "./keys.ts";
import { headersOf, storedAt, toLine } from "./line.ts";
import { readManifest, writeManifest } from "./manifest.ts";

export interface ExportOptions {
  readonly folder: string;
  /** Only this tenant's commits; null for all. */
  readonly tenant: string | null;
  /** Whether the wrapped content keys go with them. */
  readonly keys: boolean;
  readonly progress?: (read: number, of: number) => void;
  /** For tests; else `segment_commits_max`. */
  readonly segment_commits?: number;
}

export interface Exported {
  readonly manifest: Manifest;
  /** What this run has looked at, as sequences, both ends included; `from` is beyond `to` for nothing. */
  readonly from: number;
  readonly to: number;
  /** Commits of this run, by tenant. */
  readonly commits: ReadonlyMap<string, number>;
}

/** A segment ends here at the latest: what a killed export has to write again. */
const segment_commits_max = 200_000;
const segment_bytes_max = 256 * 1024 * 1024;
const take_max = 512;
/** Nothing comes for so long: what comes next cannot be read. */
const silence_ms = 6_000;

/** Throws `TypeError` with a sentence when the folder holds something else, or the log cannot be read. */
export async function exportLog(streams: Streams, options: ExportOptions): Promise<Exported> {
  const { folder, tenant, segment_commits = segment_commits_max } = options;
  const last = (await logState(streams))?.last ?? 0;
  let manifest = await begun(streams, options);
  const from = manifest.last.sequence + 1;
  const commits = new Map<string, number>();
  let segment: Segment | null = null;
  let latest: { sequence: number; data: Uint8Array } | null = null;

  const finish = async (): Promise<void> => {
    if (segment === null || latest === null) return;
    const files = await segment.finish();
    for (const file of files) {
      commits.set(file.tenant, (commits.get(file.tenant) ?? 0) + file.commits);
    }
    manifest = {
      ...manifest,
      last: { sequence: latest.sequence, hash: hashOf(latest.data) },
      commits: files.reduce((sum, file) => sum + file.commits, manifest.commits),
      events: files.reduce((sum, file) => sum + file.events, manifest.events),
      files: [...manifest.files, ...files],
    };
    await writeManifest(folder, manifest);
    segment = null;
  };

  for await (const { sequence, message } of messages(streams, from, last, tenant)) {
    options.progress?.(sequence, last);
    const { subject, data, headers } = message;
    const owner = parseEventSubject(subject)?.tenant;
    if (owner === undefined) throw new TypeError(`${subject} at ${sequence} names no actor.`);
    const time = storedAt(message.reply ?? "");
    const day = time.slice(0, 10);
    const open: Segment | null = segment;
    const full =
      open !== null &&
      (open.day !== day || open.commits >= segment_commits || open.bytes >= segment_bytes_max);
    if (full) await finish();
    segment ??= openSegment(folder, day, manifest.compression);
    const { line, events } = toLine({ sequence, time, subject, headers: headersOf(headers), data });
    await segment.put(owner, sequence, events, line);
    latest = { sequence, data };
  }
  await finish();
  const keys = options.keys ? await exportKeys(streams, folder, manifest) : null;
  const former = manifest.keys;
  manifest = { ...manifest, keys, complete: true };
  await writeManifest(folder, manifest);
  if (former !== null && former.path !== keys?.path) {
    await rm(join(folder, former.path), { force: true });
  }
  return { manifest, from, to: last, commits };
}

/** The manifest to go on with. */
async function begun(streams: Streams, { folder, tenant }: ExportOptions): Promise<Manifest> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await readManifest(folder);
  if (found === null) {
    // What is not finished is nobody's: an export was killed before it had a manifest.
    if ((await readdir(folder)).some((name) => !name.endsWith(".part"))) {
      throw new TypeError(`${folder} is not empty and holds no export.`);
    }
    const last = { sequence: 0, hash: "" };
    const counts = { last, commits: 0, events: 0, complete: false, files: [], keys: null };
    const fresh: Manifest = { format: 1, compression: best_compression, tenant, ...counts };
    await writeManifest(folder, fresh);
    return fresh;
  }
  if (found.tenant !== tenant) {
    const whose = found.tenant === null ? "the whole log" : `tenant ${found.tenant}`;
    throw new TypeError(`${folder} holds an export of ${whose}; name another folder.`);
  }
  const { sequence, hash } = found.last;
  const there = sequence === 0 ? null : await fromLeader(streams, { seq: sequence });
  if (sequence > 0 && (there === null || hashOf(there.data) !== hash)) {
    throw new TypeError(`${folder} holds an export of another log: name another folder.`);
  }
  return { ...found, complete: false };
}

/** The messages from one sequence to another, none left out. Throws `TypeError` when that cannot be. */
async function* messages(
  streams: Streams,
  from: number,
  to: number,
  tenant: string | null,
): AsyncGenerator<Arrived> {
  let next = from;
  for (let fruitless = 0; next <= to; fruitless++) {
    if (fruitless === 2) {
      throw new TypeError(
        `The log cannot be read at ${next}; colloquy events verify says what is wrong with it.`,
      );
    }
    const filter = eventFilter({ tenant: tenant ?? undefined });
    const pulling = await pullEvents(streams, next - 1, filter);
    try {
      for (let left = pulling.pending; ;) {
        if (left === 0) return;
        const timer = setTimeout(() => pulling.stop(), silence_ms);
        const arrived = await pulling.take(take_max);
        clearTimeout(timer);
        if (arrived.length === 0) break;
        let whole = true;
        for (const one of arrived) {
          if (one.sequence > to) return;
          // A message that the server passes over is damaged.
          whole &&= tenant !== null || one.sequence === next;
          if (!whole) break;
          next = one.sequence + 1;
          left -= 1;
          fruitless = -1;
          yield one;
        }
        if (!whole || next > to) break;
      }
    } finally {
      pulling.stop();
    }
  }
}
