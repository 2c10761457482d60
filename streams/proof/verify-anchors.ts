/**
 * Computes the anchors of the log anew from what it holds now. It needs no key and no database, and
 * its memory is bounded: of more anchors than `limits.anchors_checked_max` it makes several passes.
 */
import { workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import {
  eventFilter,
  eventSubject,
  parseChainSubject,
  workspaceFilter,
} from "../../schemas/subjects.ts";
import { type AnchorCheck, type AnchorFault, checkAnchors, misplaced } from "./anchor-check.ts";
import { type Anchor, anchorsOf, workspaces } from "./anchors.ts";
import { chainCommit } from "./chain-heads.ts";
import type { Streams } from "../connection.ts";
import { DamagedCommit } from "../faults.ts";
import { lastSequence } from "../log/log.ts";
import { readStored } from "../log/stored-commits.ts";

export interface AnchorReport {
  /** Anchors that were computed anew, and of how many tenants. */
  readonly anchors: number;
  readonly tenants: number;
  /** The first hundred of what does not fit; of `faulty`. */
  readonly faults: readonly AnchorFault[];
  readonly faulty: number;
  /** The anchor with the root that was asked for; null when there is none, or none was asked for. */
  readonly found: Anchor | null;
}

export interface AnchorQuestion {
  /** Null for all. */
  readonly tenant: string | null;
  /** A root that was kept elsewhere; null for none. */
  readonly root: string | null;
  readonly signal?: AbortSignal;
  /** Told now and then how many commits were read, of about how many. */
  readonly onProgress?: (read: number, of: number) => void;
  /** For tests; else `limits.anchors_checked_max`. */
  readonly anchors_max?: number;
}

const faults_max = 100;
/** Commits between two calls of `onProgress`. */
const progress_commits = 1_000;

/**
 * Says which anchors do not fit the log. With `root`, also whether that root is among them: a log
 * that was written anew as a whole, anchors and all, fits itself, and only a root that was kept
 * elsewhere tells. What the log holds behind its last anchors is not spoken of. Throws
 * `AppError("unavailable")`, and the signal's reason.
 */
export async function verifyAnchors(
  streams: Streams,
  question: AnchorQuestion,
): Promise<AnchorReport> {
  const { tenant, root, signal, onProgress } = question;
  const faults: AnchorFault[] = [];
  let faulty = 0;
  const fault = (what: AnchorFault): void => {
    faulty += 1;
    if (faults.length < faults_max) faults.push(what);
  };
  let anchors = 0;
  let found: Anchor | null = null;
  const until = await lastSequence(streams);
  const counts = await workspaces(streams, tenant);
  const passes = passesOf(counts, question.anchors_max ?? limits.anchors_checked_max);
  for (const [at, pass] of passes.entries()) {
    const [first = null] = pass.keys();
    const only = pass.size === 1 ? first : null;
    const check = checkAnchors(fault);
    for await (const anchor of expected(streams, { pass, only, until, signal, fault })) {
      anchors += 1;
      if (anchor.root === root) found = anchor;
      check.expect(anchor);
    }
    await hashAll(streams, check, only, signal, (sequence) =>
      onProgress?.(at * until + sequence, passes.length * until),
    );
  }
  if (root !== null && found === null) {
    fault({ tenant, written: null, reason: `no anchor of this log has the root ${root}` });
  }
  return { anchors, tenants: counts.size, faults, faulty, found };
}

/** The commits of a workspace that one pass looks at: so many, behind so many. */
interface Slice {
  readonly skip: number;
  readonly take: number;
}
type Pass = ReadonlyMap<string, Slice>;

/** Cuts the commits of workspaces into passes of at most `max`. */
function passesOf(counts: ReadonlyMap<string, number>, max: number): Pass[] {
  const passes: Map<string, Slice>[] = [];
  let room = 0;
  for (const [tenant, count] of counts) {
    for (let skip = 0; skip < count;) {
      if (room === 0) {
        passes.push(new Map());
        room = max;
      }
      const take = Math.min(room, count - skip);
      passes.at(-1)?.set(tenant, { skip, take });
      skip += take;
      room -= take;
    }
  }
  return passes;
}

/** The anchors of a pass, in log order; what can be said of them without the log is said. */
async function* expected(
  streams: Streams,
  options: {
    readonly pass: Pass;
    readonly only: string | null;
    readonly until: number;
    readonly signal: AbortSignal | undefined;
    readonly fault: (fault: AnchorFault) => void;
  },
): AsyncGenerator<Anchor> {
  const { pass, only, until, signal, fault } = options;
  const filter = only === null ? workspaceFilter : eventSubject(workspaceRef(only));
  const seen = new Map<string, { commits: number; last: Anchor | null }>();
  for await (const stored of readStored(streams, { after: 0, until, filter, signal })) {
    const tenant = parseChainSubject(stored.subject)?.tenant ?? "";
    const slice = pass.get(tenant);
    if (slice === undefined || stored.subject !== eventSubject(workspaceRef(tenant))) continue;
    const so_far = seen.get(tenant) ?? { commits: 0, last: null };
    seen.set(tenant, so_far);
    so_far.commits += 1;
    const ours = so_far.commits > slice.skip && so_far.commits <= slice.skip + slice.take;
    const tell = (reason: string): void => {
      if (ours) fault({ tenant, written: stored.sequence, reason });
    };
    try {
      for (const anchor of anchorsOf(stored)) {
        const wrong = misplaced(anchor, so_far.last);
        if (wrong !== null) tell(wrong);
        so_far.last = anchor;
        if (ours) yield anchor;
      }
    } catch (error) {
      if (!(error instanceof DamagedCommit)) throw error;
      tell(error.reason);
    }
  }
}

/** Shows the check every commit that it must see. */
async function hashAll(
  streams: Streams,
  check: AnchorCheck,
  only: string | null,
  signal: AbortSignal | undefined,
  onProgress: (sequence: number) => void,
): Promise<void> {
  const range = { after: check.after(), until: check.until() };
  let left = progress_commits;
  for await (const stored of readStored(streams, {
    ...range,
    filter: eventFilter({ tenant: only ?? undefined }),
    signal,
  })) {
    const commit = chainCommit(stored);
    const closing = commit === null ? null : check.see(commit);
    if (closing !== null) await closing;
    if (--left > 0) continue;
    left = progress_commits;
    onProgress(stored.sequence);
  }
  await check.end();
}
