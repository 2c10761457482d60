/**
 * Anchors what changed: one pass over the log for all tenants together, then one signed command to the
 * workspace of each tenant with changes. A workspace takes an anchor only where its last one ended, so
 * two that do this at once are harmless. What one tenant's workspace does not take is tried again in
 * the next round and holds nobody up.
 *
 * Where to begin is read from the log: every anchor says up to which sequence nothing of any tenant
 * waits. A pass that meets more changed chains than `limits.anchor_chains_max` ends there, is anchored
 * and goes on, so memory does not grow with the log.
 */
import type { CommandData } from "../schemas/commands.ts";
import { AppError } from "../schemas/errors.ts";
import { type ActorRef, type By, type Clock, type Ids, workspaceRef } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { eventFilter, eventSubject } from "../schemas/subjects.ts";
import { type Anchor, lastAnchor, workspaces } from "./anchors.ts";
import { addTo, chainCommit, type Changes, noChanges, rootOf } from "./chain-heads.ts";
import type { CommandPublisher } from "./commands.ts";
import type { Streams } from "./connection.ts";
import { lastSequence } from "./log.ts";
import { readStored } from "./stored-commits.ts";

export interface RoundParts {
  readonly streams: Streams;
  readonly publish: CommandPublisher;
  /** Who asks for the anchors. */
  readonly by: By;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly report: (problem: { what: string; ref?: ActorRef; error?: unknown }) => void;
  readonly signal?: AbortSignal | undefined;
  /** For tests, at least 2: a workspace and what changed; else `limits.anchor_chains_max`. */
  readonly chains_max?: number;
}

export interface Rounds {
  /** The EVENTS sequence up to which nothing waits for its anchor. */
  settled(): number;
  /**
   * Anchors all that stands in the log now and tells of each anchor that was made by it or by another
   * in the meantime; whether none is missing. Throws `AppError("unavailable")` when the log cannot be
   * read; then nothing is lost.
   */
  next(onAnchor?: (anchor: Anchor) => void): Promise<boolean>;
}

/** Reads from the log where to go on. Throws `AppError("unavailable")`, `DamagedCommit`. */
export async function openRounds(parts: RoundParts): Promise<Rounds> {
  const { streams, report, signal } = parts;
  /** Everything up to here is anchored, but for the tenants that lag behind. */
  let covered = 0;
  /** Tenant → the sequence behind which it waits. */
  const behind = new Map<string, number>();
  const settled = (): number =>
    [...behind.values()].reduce((one, two) => Math.min(one, two), covered);

  const tenants = [...(await workspaces(streams, null)).keys()];
  await someAtOnce(tenants, async (tenant) => {
    covered = Math.max(covered, (await lastAnchor(streams, tenant))?.settled ?? 0);
  });

  /** Brings one tenant up to `until`. `known` are its changes behind `after`. */
  const anchorOne = async (
    tenant: string,
    known: Known | null,
    until: number,
    onAnchor: (anchor: Anchor) => void,
  ): Promise<void> => {
    try {
      await bringUp(parts, tenant, known, { until, settled: settled(), onAnchor });
      behind.delete(tenant);
    } catch (error) {
      if (!behind.has(tenant)) behind.set(tenant, known?.after ?? 0);
      const ref = workspaceRef(tenant);
      signal?.throwIfAborted();
      report({ what: "a tenant is not anchored yet", ref, error });
    }
  };
  return {
    settled,
    async next(onAnchor = () => undefined) {
      const end = await lastSequence(streams);
      await someAtOnce([...behind.keys()], (tenant) => anchorOne(tenant, null, end, onAnchor));
      while (covered < end) {
        const after = covered;
        const { changed, until } = await changedBehind(parts, null, after, end);
        const waiting = [...changed].filter(([tenant]) => !behind.has(tenant));
        await someAtOnce(waiting, ([tenant, changes]) =>
          anchorOne(tenant, { changes, after }, until, onAnchor),
        );
        covered = until;
      }
      return behind.size === 0 && covered >= end;
    },
  };
}

/** A tenant's changes behind a sequence. */
interface Known {
  readonly changes: Changes;
  readonly after: number;
}

/** Anchors one tenant up to `until`. Throws when its workspace did not take an anchor. */
async function bringUp(
  parts: RoundParts,
  tenant: string,
  known: Known | null,
  options: {
    readonly until: number;
    readonly settled: number;
    readonly onAnchor: (anchor: Anchor) => void;
  },
): Promise<void> {
  const { until, settled, onAnchor } = options;
  for (let last = await lastAnchor(parts.streams, tenant); ;) {
    const after = last?.sequence ?? 0;
    if (after >= until) return;
    const window =
      known === null || after > known.after
        ? await changedBehind(parts, tenant, after, until)
        : { changed: new Map([[tenant, await since(parts, tenant, after, known)]]), until };
    const changes = window.changed.get(tenant);
    if (changes?.substantial !== true) return;
    const data = {
      ...{ root: await rootOf(changes.heads), chains: changes.heads.size },
      ...{ commits: changes.commits, from: after + 1, sequence: window.until, settled },
    };
    last = await asked(parts, tenant, data);
    onAnchor(last);
  }
}

/**
 * All changes behind the tenant's last anchor, at `after`, when those behind `known.after` are known:
 * between the two there is nothing that waits, so nothing but anchors.
 */
async function since(
  { streams, signal }: RoundParts,
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

/** What changed behind `after`, of one tenant or all; `until` is where the pass ended. */
async function changedBehind(
  { streams, signal, chains_max = limits.anchor_chains_max }: RoundParts,
  tenant: string | null,
  after: number,
  end: number,
): Promise<{ readonly changed: ReadonlyMap<string, Changes>; readonly until: number }> {
  const changed = new Map<string, Changes>();
  let chains = 0;
  const range = { after, until: end, filter: eventFilter({ tenant: tenant ?? undefined }), signal };
  for await (const stored of readStored(streams, range)) {
    const commit = chainCommit(stored);
    if (commit === null) continue;
    const changes = changed.get(commit.tenant) ?? noChanges();
    changed.set(commit.tenant, changes);
    const before = changes.heads.size;
    addTo(changes, commit);
    chains += changes.heads.size - before;
    if (chains >= chains_max) return { changed, until: stored.sequence };
  }
  return { changed, until: end };
}

/** Asks a workspace for an anchor and waits until it, or another in its place, stands in the log. */
async function asked(
  parts: RoundParts,
  tenant: string,
  data: CommandData<"anchor">,
): Promise<Anchor> {
  const { streams, publish, by, clock, ids, signal } = parts;
  const ref = workspaceRef(tenant);
  const id = ids();
  await publish.publish({ ref, name: "anchor", id, data, by, reply: null, traceparent: null });
  const over_ms = clock.now() + limits.command_answer_ms;
  for (let wait_ms = poll_ms; ; wait_ms = Math.min(2 * wait_ms, poll_ms_max)) {
    const last = await lastAnchor(streams, tenant);
    if (last !== null && last.sequence >= data.from) return last;
    signal?.throwIfAborted();
    if (clock.now() >= over_ms) {
      throw new AppError("command_unanswered", "No worker has taken the anchor yet.");
    }
    await pause(parts, wait_ms);
  }
}

/** Between two looks for an anchor that was asked for, the first and the longest. */
const poll_ms = 20;
const poll_ms_max = 500;

/** Waits, at most until the signal. */
export function pause(
  { clock, signal }: Pick<RoundParts, "clock" | "signal">,
  ms: number,
): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal?.addEventListener("abort", done);
    if (signal?.aborted === true) done();
  });
}

async function someAtOnce<T>(all: readonly T[], work: (one: T) => Promise<void>): Promise<void> {
  const left = [...all].values();
  const lane = async (): Promise<void> => {
    for (const one of left) await work(one);
  };
  await Promise.all(Array.from({ length: limits.anchor_tenants_at_once }, lane));
}
