/**
 * An actor in memory: folded from the first commit on, or from a snapshot on, which is the same (I4).
 * It remembers the commands that made its commits, and where, so that a repeat gets the same answer.
 */
import { type Commit, empty_head, type Head, headOf, refusalOf } from "../schemas/commit.ts";
import type { ErrorCode } from "../schemas/errors.ts";
import type { Instance } from "./kind.ts";
import type { Snapshot } from "./ports.ts";

/** The last revision and the EVENTS sequence of a commit. */
export interface Place {
  readonly revision: number;
  readonly sequence: number;
}

/** Where a command's commit stands, and the refusal that the commit itself is, if it is one. */
export interface Made extends Place {
  readonly refusal: ErrorCode | null;
}

export interface Loaded {
  readonly instance: Instance;
  head: Head;
  /** The revision that the last snapshot holds. */
  kept: number;
  readonly commits: Map<string, Made>;
}

export const nothingFolded = (instance: Instance): Loaded => ({
  ...{ instance, head: empty_head, kept: 0, commits: new Map() },
});

/** `instance` was made from the snapshot's state. */
export const fromSnapshot = (instance: Instance, { head, commits }: Snapshot): Loaded => ({
  ...{ instance, head, kept: head.revision },
  commits: new Map(
    commits.map(([id, revision, sequence, refusal = null]) => [
      id,
      { revision, sequence, refusal },
    ]),
  ),
});

export const toSnapshot = ({ instance, head, commits }: Loaded): Snapshot => ({
  ...{ head, state: instance.state() },
  commits: [...commits].map(([id, { revision, sequence, refusal }]) =>
    refusal === null
      ? ([id, revision, sequence] as const)
      : ([id, revision, sequence, refusal] as const),
  ),
});

export function fold(loaded: Loaded, commit: Commit): void {
  loaded.instance.fold(commit);
  loaded.head = headOf(commit);
  loaded.commits.set(commit.command, {
    ...{ ...placeOf(loaded.head), refusal: refusalOf(commit.events) },
  });
  if (loaded.commits.size <= loaded.instance.commands_max) return;
  // A Map keeps the order of insertion.
  const { value: oldest } = loaded.commits.keys().next();
  if (oldest !== undefined) loaded.commits.delete(oldest);
}

export const placeOf = ({ revision, sequence }: Head): Place => ({ revision, sequence });
