/**
 * What anchors are made of: what changed in a part of the log, read in one pass. A pass that meets more
 * changed chains than `limits.anchor_chains_max` ends early and says where, so memory does not grow
 * with the log.
 */
import { workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { eventFilter, eventSubject } from "../../schemas/subjects.ts";
import { addTo, chainCommit, type Changes, noChanges } from "./chain-heads.ts";
import type { Streams } from "../connection.ts";
import { readStored } from "../log/stored-commits.ts";

export interface PassParts {
  readonly streams: Streams;
  readonly signal?: AbortSignal | undefined;
  /** For tests, at least 2: a workspace and what changed; else `limits.anchor_chains_max`. */
  readonly chains_max?: number;
}

/** A tenant's changes behind a sequence. */
export interface Known {
  readonly changes: Changes;
  readonly after: number;
}

interface Pass {
  readonly changed: ReadonlyMap<string, Changes>;
  /** The first sequence of what waits for an anchor; infinite when nothing does. */
  readonly first: number;
  /** Where it ended: all up to here was looked at. */
  readonly until: number;
}

/** What changed behind `after`, of one tenant or all; of a tenant only what is behind `afterOf`. */
export async function changedBehind(
  { streams, signal, chains_max = limits.anchor_chains_max }: PassParts,
  range: {
    readonly tenant: string | null;
    readonly after: number;
    readonly end: number;
    readonly afterOf?: (tenant: string) => number;
  },
): Promise<Pass> {
  const { tenant, after, end, afterOf = () => after } = range;
  const changed = new Map<string, Changes>();
  const filter = eventFilter({ tenant: tenant ?? undefined });
  let chains = 0;
  let first = Number.POSITIVE_INFINITY;
  for await (const stored of readStored(streams, { after, until: end, filter, signal })) {
    const commit = chainCommit(stored);
    if (commit === null || commit.sequence <= afterOf(commit.tenant)) continue;
    const changes = changed.get(commit.tenant) ?? noChanges();
    changed.set(commit.tenant, changes);
    const before = changes.heads.size;
    addTo(changes, commit);
    if (!commit.anchorsOnly) first = Math.min(first, commit.sequence);
    chains += changes.heads.size - before;
    if (chains >= chains_max) return { changed, first, until: stored.sequence };
  }
  return { changed, first, until: end };
}

/**
 * All changes behind the tenant's last anchor, at `after`, when those behind `known.after` are known:
 * between the two there is nothing that waits, so nothing but anchors.
 */
export async function since(
  { streams, signal }: PassParts,
  tenant: string,
  after: number,
  known: Known,
): Promise<Changes> {
  const filter = eventSubject(workspaceRef(tenant));
  const changes = noChanges();
  for await (const stored of readStored(streams, { after, until: known.after, filter, signal })) {
    const commit = chainCommit(stored);
    if (commit !== null) addTo(changes, commit);
  }
  const { heads, commits, substantial } = known.changes;
  return {
    heads: new Map([...changes.heads, ...heads]),
    commits: changes.commits + commits,
    substantial: changes.substantial || substantial,
  };
}
