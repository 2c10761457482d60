/**
 * The commit: one decision of one actor is one message on `evt.<tenant>.<kind>.<id>` (docs/EVENTS.md).
 * `StoredCommit` is its JSON as it lies in the log, content sealed away; `Commit` is what the rest
 * of the system reads, content back in its place and the position in the log beside it.
 */
import Type from "typebox";
import type { ErrorCode } from "./errors.ts";
import { type DomainEvent } from "./events.ts";
import { type ActorRef, By, IsoTime, type Kind, kinds, Tenant, Uuid } from "./ids.ts";
import { limits } from "./limits.ts";
import { check } from "./validate.ts";

export const Hash = Type.String({ pattern: "^[0-9a-f]{64}$" });
/** `prev` of an actor's first commit. */
export const zero_hash = "0".repeat(64);

export const StoredCommit = Type.Object({
  v: Type.Literal(1),
  commit: Uuid,
  tenant: Tenant,
  kind: Type.Unsafe<Kind>({ type: "string", enum: [...kinds] }),
  id: Uuid,
  revision: Type.Integer({ minimum: 1, description: "The number of its first event." }),
  command: Uuid,
  by: By,
  at: IsoTime,
  prev: Hash,
  events: Type.Array(
    Type.Object({
      type: Type.String({ pattern: "^[a-z]+\\.[a-z]+$" }),
      v: Type.Integer({ minimum: 1 }),
      // Any object: each event's data is checked by its type's own schema. As a record of unknown
      // values its names would be walked, which was half of what this whole check takes (measured).
      data: Type.Unsafe<Record<string, unknown>>({ type: "object" }),
    }),
    { minItems: 1, maxItems: limits.events_per_commit_max },
  ),
  sealed: Type.Optional(
    Type.String({
      description:
        "base64 of nonce (12), AES-256-GCM ciphertext, tag (16) over JSON: content fields by event index.",
    }),
  ),
});
export type StoredCommit = Type.Static<typeof StoredCommit>;
export const storedCommit = check(StoredCommit);

/** Where an actor's line of commits ends. */
export interface Head {
  /** The number of the last event; 0 when there is none. */
  readonly revision: number;
  /** The EVENTS sequence of the last commit; 0 when there is none. */
  readonly sequence: number;
  /** SHA-256 of the last commit's stored bytes, hex. */
  readonly hash: string;
}
export const empty_head: Head = { revision: 0, sequence: 0, hash: zero_hash };

/** What the leader of the log says of an actor's last commit, before anybody has read it. */
export type LineEnd = Pick<Head, "sequence" | "hash">;

/** A decision that is ready to be appended. */
export interface CommitDraft {
  readonly ref: ActorRef;
  readonly commit: string;
  readonly command: string;
  readonly by: By;
  readonly at: string;
  readonly traceparent: string | null;
  readonly events: readonly DomainEvent[];
}

/** A commit as it is read: upcast, unsealed, with its place in the log. */
export interface Commit extends CommitDraft {
  /** The number of its first event. */
  readonly revision: number;
  readonly sequence: number;
  readonly prev: string;
  readonly hash: string;
  /** True when the content's key is gone and its fields are blank. */
  readonly erased: boolean;
}

/**
 * The refusal that a commit itself is to whoever asked for it; null for all others. Who shows a
 * refresh token again is refused, and what the refusal does to the session is in the log.
 */
export function refusalOf(events: readonly DomainEvent[]): ErrorCode | null {
  const reused = events.some(
    ({ type, data }) => type === "session.closed" && data.reason === "reused",
  );
  return reused ? "refresh_reused" : null;
}

/** The number of a commit's last event. */
export const lastRevision = (commit: Commit): number => commit.revision + commit.events.length - 1;

export const headOf = (commit: Commit): Head => ({
  revision: lastRevision(commit),
  sequence: commit.sequence,
  hash: commit.hash,
});
