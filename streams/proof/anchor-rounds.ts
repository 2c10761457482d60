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
import type { CommandData } from "../../schemas/commands.ts";
import { AppError } from "../../schemas/errors.ts";
import { type ActorRef, type By, type Clock, type Ids, workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { type Anchor, lastAnchor, workspaces } from "./anchors.ts";
import { changedBehind, type Known, type PassParts, since } from "./anchor-pass.ts";
import { rootOf } from "./chain-heads.ts";
import type { CommandPublisher } from "../queue/commands.ts";
import { DamagedCommit } from "../faults.ts";
import { lastSequence } from "../log/log.ts";

export interface RoundParts extends PassParts {
  readonly publish: CommandPublisher;
  /** Who asks for the anchors. */
  readonly by: By;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly report: (problem: { what: string; ref?: ActorRef; error?: unknown }) => void;
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

/** Reads from the log where to go on. Throws `AppError("unavailable")`. */
export async function openRounds(parts: RoundParts): Promise<Rounds> {
  const { streams, report, signal } = parts;
  /** Everything up to here is anchored, but for the tenants that lag behind. */
  let covered = 0;
  /** Tenant → the sequence up to which it is anchored, where that is further. */
  const anchored = new Map<string, number>();
  /** Tenant → the sequence behind which it waits. */
  const behind = new Map<string, number>();
  const lag = (from: number): number =>
    [...behind.values()].reduce((one, two) => Math.min(one, two), from);
  const forget = (): void => {
    for (const [tenant, sequence] of anchored) if (sequence <= covered) anchored.delete(tenant);
  };
  const say = (tenant: string, error: unknown): void => {
    signal?.throwIfAborted();
    report({ what: "a tenant is not anchored yet", ref: workspaceRef(tenant), error });
  };

  await someAtOnce([...(await workspaces(streams, null)).keys()], async (tenant) => {
    try {
      const last = await lastAnchor(streams, tenant);
      if (last === null) return;
      covered = Math.max(covered, last.settled);
      anchored.set(tenant, last.sequence);
    } catch (error) {
      if (!(error instanceof DamagedCommit)) throw error;
      say(tenant, error);
    }
  });
  forget();

  /** Brings one tenant up to where it is aimed. `known` are its changes behind `after`. */
  const anchorOne = async (tenant: string, known: Known | null, options: Aim): Promise<void> => {
    try {
      await bringUp(parts, tenant, known, options);
      behind.delete(tenant);
    } catch (error) {
      if (!behind.has(tenant)) behind.set(tenant, known?.after ?? 0);
      say(tenant, error);
    }
  };
  return {
    settled: () => lag(covered),
    async next(onAnchor = () => undefined) {
      const end = await lastSequence(streams);
      const aim = { until: end, settled: lag(covered), onAnchor };
      await someAtOnce([...behind.keys()], (tenant) => anchorOne(tenant, null, aim));
      while (covered < end) {
        const afterOf = (tenant: string): number => anchored.get(tenant) ?? covered;
        const pass = await changedBehind(parts, { tenant: null, after: covered, end, afterOf });
        const { changed, first, until } = pass;
        // Whatever was found before the first that waits is anchored already.
        const next = { until, settled: lag(Math.min(first - 1, until)), onAnchor };
        const waiting = [...changed].filter(([tenant]) => !behind.has(tenant));
        await someAtOnce(waiting, ([tenant, changes]) =>
          anchorOne(tenant, { changes, after: afterOf(tenant) }, next),
        );
        covered = until;
        forget();
      }
      return behind.size === 0 && covered >= end;
    },
  };
}

/** What anchors are made for: up to where, and what they say of all tenants. */
interface Aim {
  readonly until: number;
  readonly settled: number;
  readonly onAnchor: (anchor: Anchor) => void;
}

/** Anchors one tenant up to `until`. Throws when its workspace did not take an anchor. */
async function bringUp(
  parts: RoundParts,
  tenant: string,
  known: Known | null,
  { until, settled, onAnchor }: Aim,
): Promise<void> {
  for (let last = await lastAnchor(parts.streams, tenant); ;) {
    const after = last?.sequence ?? 0;
    if (after >= until) return;
    const window =
      known === null || after > known.after
        ? await changedBehind(parts, { tenant, after, end: until })
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
