/**
 * The anchors that stand in the workspaces of the log. Nothing in a workspace is sealed, so reading
 * them needs no key.
 */
import type { Commit } from "../../schemas/commit.ts";
import type { EventData } from "../../schemas/events.ts";
import { isTenant, workspaceRef } from "../../schemas/ids.ts";
import { eventSubject, workspaceFilter } from "../../schemas/subjects.ts";
import { decodeCommit, openCommit } from "../log/codec.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { fromLeader } from "../leader.ts";
import { readStored, type StoredCommitBytes } from "../log/stored-commits.ts";
import { events_stream } from "../topology.ts";

/** An anchor as it stands in the log. */
export interface Anchor extends EventData<"chain.anchored"> {
  readonly tenant: string;
  /** When it was made, ISO. */
  readonly at: string;
  /** The EVENTS sequence of the commit that holds it. */
  readonly written: number;
}

/** Tenant → how many commits its workspace has; of one tenant, or all that have one. */
export async function workspaces(
  streams: Streams,
  tenant: string | null,
): Promise<Map<string, number>> {
  const filter = tenant === null ? workspaceFilter : eventSubject(workspaceRef(tenant));
  const asking = streams.jsm.streams.info(events_stream, { subjects_filter: filter });
  const { state } = await streams.tracked(asking).catch((cause: unknown) => {
    throw unavailable("The log cannot be read", cause);
  });
  const found = new Map<string, number>();
  for (const [subject, count] of Object.entries(state.subjects ?? {})) {
    const of = subject.split(".")[1] ?? "";
    // A foreign chain on a subject of that kind is no workspace of ours.
    if (isTenant(of) && subject === eventSubject(workspaceRef(of))) found.set(of, count);
  }
  return found;
}

/**
 * The tenant's last anchor as the leader has it; null when there is none. Throws `DamagedCommit`,
 * `AppError("unavailable")`.
 */
export async function lastAnchor(streams: Streams, tenant: string): Promise<Anchor | null> {
  const subject = eventSubject(workspaceRef(tenant));
  const last = await fromLeader(streams, { last_by_subj: subject }).catch((cause: unknown) => {
    throw unavailable("The log cannot be read", cause);
  });
  if (last === null) return null;
  const newest = anchorsOf({ subject, sequence: last.seq, data: last.data }).at(-1);
  if (newest !== undefined) return newest;
  // Its last commit is an export, which is rare: the anchor stands somewhere before it.
  let found: Anchor | null = null;
  for await (const anchor of readAnchors(streams, { tenant, until: last.seq })) found = anchor;
  return found;
}

/** The anchors of a tenant, or all, in log order. Throws `DamagedCommit`, `AppError`. */
export async function* readAnchors(
  streams: Streams,
  options: {
    readonly tenant: string | null;
    readonly until: number;
    readonly signal?: AbortSignal | undefined;
  },
): AsyncGenerator<Anchor> {
  const { tenant, until, signal } = options;
  const filter = tenant === null ? workspaceFilter : eventSubject(workspaceRef(tenant));
  for await (const stored of readStored(streams, { after: 0, until, filter, signal })) {
    yield* anchorsOf(stored);
  }
}

/** The anchors that a commit of a workspace holds: one, or none. Throws `DamagedCommit`. */
export function anchorsOf({ subject, sequence, data }: StoredCommitBytes): Anchor[] {
  const commit: Commit = decodeCommit(openCommit(data, { subject, sequence }, null), null);
  const { ref, at, events } = commit;
  const { tenant } = ref;
  return events.flatMap((event) =>
    event.type === "chain.anchored" ? [{ ...event.data, tenant, at, written: sequence }] : [],
  );
}
