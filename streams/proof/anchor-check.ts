/**
 * Checks anchors against the commits of the log: the pure middle of `verify-anchors.ts`. It is told
 * all anchors first and then all commits in log order, and computes at the end of every window what
 * its anchor should say. In memory: the anchors, and of each tenant the heads that its open window
 * has so far, never more than its anchor counts.
 */
import { zero_hash } from "../../schemas/commit.ts";
import type { Anchor } from "./anchors.ts";
import { addTo, type ChainCommit, type Changes, noChanges, rootOf } from "./chain-heads.ts";

/** What does not fit. */
export interface AnchorFault {
  /** Null when it is not one tenant's. */
  readonly tenant: string | null;
  /** The EVENTS sequence of the commit with the anchor; null when no anchor is meant. */
  readonly written: number | null;
  /** A sentence without its beginning. */
  readonly reason: string;
}

export interface AnchorCheck {
  /** The anchors of a tenant in their order; all of them before any commit. */
  expect(anchor: Anchor): void;
  /** The commits to see are those behind this EVENTS sequence … */
  after(): number;
  /** … up to this one. */
  until(): number;
  /** The next commit; a promise while windows are closed before it, to be awaited. */
  see(commit: ChainCommit): Promise<void> | null;
  /** Nothing more comes. */
  end(): Promise<void>;
}

interface Tenant {
  readonly anchors: Anchor[];
  /** The anchor whose window is open. */
  at: number;
  changes: Changes;
  /** More changed in the open window than its anchor counts: nothing more is collected. */
  tooMany: boolean;
}

export function checkAnchors(fault: (fault: AnchorFault) => void): AnchorCheck {
  const tenants = new Map<string, Tenant>();
  let after = Number.POSITIVE_INFINITY;
  let until = 0;
  /** Where the next window ends, of whichever tenant. */
  let boundary = 0;

  const close = async (tenant: Tenant, anchor: Anchor): Promise<void> => {
    const { changes } = tenant;
    tenant.at += 1;
    tenant.changes = noChanges();
    tenant.tooMany = false;
    const { root, from, sequence, chains, commits } = anchor;
    const same =
      changes.heads.size === chains &&
      changes.commits === commits &&
      (await rootOf(changes.heads)) === root;
    if (same) return;
    fault({
      ...{ tenant: anchor.tenant, written: anchor.written },
      reason: `from sequence ${from} to ${sequence} the log is not what it was when ${root} was made of it`,
    });
  };
  /** Closes the windows that end before a sequence. */
  const closeBefore = async (sequence: number): Promise<void> => {
    boundary = Number.POSITIVE_INFINITY;
    for (const tenant of tenants.values()) {
      let anchor = tenant.anchors[tenant.at];
      while (anchor !== undefined && anchor.sequence < sequence) {
        await close(tenant, anchor);
        anchor = tenant.anchors[tenant.at];
      }
      boundary = Math.min(boundary, anchor?.sequence ?? boundary);
    }
  };
  const take = (commit: ChainCommit): void => {
    const tenant = tenants.get(commit.tenant);
    const anchor = tenant?.anchors[tenant.at];
    if (tenant === undefined || anchor === undefined || tenant.tooMany) return;
    if (commit.sequence < anchor.from) return;
    addTo(tenant.changes, commit);
    if (tenant.changes.heads.size <= anchor.chains) return;
    tenant.tooMany = true;
    tenant.changes = noChanges();
  };
  return {
    expect(anchor) {
      const tenant = tenants.get(anchor.tenant);
      if (tenant === undefined) {
        const fresh = { anchors: [anchor], at: 0, changes: noChanges(), tooMany: false };
        tenants.set(anchor.tenant, fresh);
      } else tenant.anchors.push(anchor);
      after = Math.min(after, anchor.from - 1);
      until = Math.max(until, anchor.sequence);
    },
    after: () => Math.min(after, until),
    until: () => until,
    see(commit) {
      if (commit.sequence <= boundary) {
        take(commit);
        return null;
      }
      return closeBefore(commit.sequence).then(() => take(commit));
    },
    end: () => closeBefore(Number.POSITIVE_INFINITY),
  };
}

/** What is wrong with an anchor beside the one before it; null when nothing is. */
export function misplaced(anchor: Anchor, before: Anchor | null): string | null {
  const { root, sequence } = before ?? { root: zero_hash, sequence: 0 };
  if (anchor.from !== sequence + 1) {
    return `it begins at sequence ${anchor.from}, and the one before ended at ${sequence}`;
  }
  if (anchor.previous !== root) return "it names another root as the one before it";
  const covers = anchor.sequence >= anchor.from && anchor.sequence < anchor.written;
  return covers ? null : `it covers sequence ${anchor.sequence}, which it cannot have known`;
}
