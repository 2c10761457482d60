/**
 * What was ended before it expires: sessions, memberships, API keys. Every gateway follows the events
 * of accounts and workspaces, from as far back as an access token lives, and knows them before it is
 * ready; so a logout holds on all of them at once, and on one that starts later (I10). What must end
 * is told to whoever holds it, a socket or a stream. Bounded by time and by number (I11): entries are
 * forgotten when no token that they refuse can be alive.
 *
 * Tokens of the operator and of other issuers carry their role themselves and stand behind no
 * session: they end when they expire.
 */
import { AppError, type ErrorCode } from "../../schemas/errors.ts";
import type { Commit } from "../../schemas/commit.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Role } from "../../schemas/permissions.ts";
import { accountFilter, workspaceFilter } from "../../schemas/subjects.ts";
import type { Streams } from "../../streams/connection.ts";
import { fromLeader } from "../../streams/leader.ts";
import { lastSequence } from "../../streams/log/log.ts";
import { readPlain } from "../../streams/log/reader.ts";
import { sequenceAt } from "../../streams/proof/when.ts";
import type { Report } from "../ports.ts";
import type { Identity } from "./identity.ts";

/** Something that lives on a credential: a socket, a stream. */
interface Holder {
  readonly who: Identity;
  readonly end: (code: ErrorCode) => void;
}

interface Entry {
  readonly until_ms: number;
  /** Of a member: the role since the change, null when it is one no more. */
  readonly role: Role | null;
}

const sessionKey = (session: string): string => `session ${session}`;
const apiKeyKey = (tenant: string, key: string): string => `key ${tenant} ${key}`;
const memberKey = (tenant: string, user: string): string => `member ${tenant} ${user}`;

const window_ms = limits.access_token_ms + limits.clock_skew_ms;

export class Revocations {
  readonly #clock: Clock;
  /** In the order of what is forgotten first. */
  readonly #entries = new Map<string, Entry>();
  readonly #holders = new Map<string, Set<Holder>>();
  readonly #changed = new Set<(tenant: string) => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Throws `unauthenticated`, or `token_expired` when a new token of the same session will do. */
  refuse(who: Identity): void {
    const code = this.#refusal(who);
    if (code !== null) throw new AppError(code);
  }

  /** The role that a member has had since a change not long ago; undefined when there was none. */
  roleOf(tenant: string, user: string): Role | null | undefined {
    return this.#known(memberKey(tenant, user))?.role;
  }

  /** Calls `end` once when the credential ends early; the result forgets it. */
  hold(who: Identity, end: (code: ErrorCode) => void): () => void {
    if (who.session === null && who.key === null) return () => undefined;
    const holder: Holder = { who, end };
    const keys = keysOf(who);
    for (const key of keys) {
      const holders = this.#holders.get(key) ?? new Set();
      this.#holders.set(key, holders.add(holder));
    }
    const code = this.#refusal(who);
    if (code !== null) queueMicrotask(() => end(code));
    return () => {
      for (const key of keys) {
        const holders = this.#holders.get(key);
        if (holders?.delete(holder) === true && holders.size === 0) this.#holders.delete(key);
      }
    };
  }

  /** Calls when members or keys of a tenant have changed: what is cached of them is old. */
  onChange(call: (tenant: string) => void): void {
    this.#changed.add(call);
  }

  /** Takes in what a commit ends; the events of accounts and workspaces alone mean something here. */
  see(commit: Commit): void {
    for (const event of commit.events) this.#see(commit, event);
  }

  /** A session that was ended here: it holds before the log says so. */
  close(session: string): void {
    this.#note(sessionKey(session), null);
  }

  #see({ ref }: Commit, event: DomainEvent): void {
    switch (event.type) {
      case "session.closed":
        return this.#note(sessionKey(event.data.session), null);
      case "member.added":
      case "member.changed":
        this.#note(memberKey(ref.tenant, event.data.user), event.data.role);
        break;
      case "member.removed":
        this.#note(memberKey(ref.tenant, event.data.user), null);
        break;
      case "key.revoked":
        this.#note(apiKeyKey(ref.tenant, event.data.key), null);
        break;
      default:
        return;
    }
    for (const call of this.#changed) call(ref.tenant);
  }

  #note(key: string, role: Role | null): void {
    const now_ms = this.#clock.now();
    this.#entries.delete(key);
    this.#entries.set(key, { until_ms: now_ms + window_ms, role });
    for (const [oldest, { until_ms }] of this.#entries) {
      if (until_ms > now_ms && this.#entries.size <= limits.revocations_known_max) break;
      this.#entries.delete(oldest);
    }
    for (const holder of [...(this.#holders.get(key) ?? [])]) {
      const code = this.#refusal(holder.who);
      if (code !== null) holder.end(code);
    }
  }

  #refusal(who: Identity): ErrorCode | null {
    if (who.session === null && who.key === null) return null;
    const [credential, member] = keysOf(who);
    if (this.#known(credential) !== undefined) return "unauthenticated";
    const changed = this.#known(member);
    if (changed === undefined || changed.role === who.role) return null;
    return changed.role === null ? "unauthenticated" : "token_expired";
  }

  #known(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.until_ms > this.#clock.now() ? entry : undefined;
  }
}

/** What ends a credential: its session or key, and its user's membership. */
const keysOf = (who: Identity): readonly [string, string] => [
  who.key === null ? sessionKey(who.session ?? "") : apiKeyKey(who.tenant, who.key),
  memberKey(who.tenant, who.user),
];

/** Follows the log for as long as the gateway runs. */
export interface FollowingRevocations {
  /** Resolves when everything that was ended before the start is known. Rejects with `unavailable`. */
  readonly ready: Promise<void>;
  stop(): void;
}

export function followRevocations(parts: {
  readonly streams: Streams;
  readonly revocations: Revocations;
  readonly clock: Clock;
  readonly report: Report;
}): FollowingRevocations {
  const { streams, revocations, clock, report } = parts;
  const ending = new AbortController();
  const { signal } = ending;
  const filter = [accountFilter, workspaceFilter];
  const known = Promise.withResolvers<void>();
  const follow = async (): Promise<void> => {
    const last = await lastSequence(streams);
    const from = await sequenceAt(streams, clock.now() - window_ms, last);
    const newest = await Promise.all(
      filter.map((subject) => fromLeader(streams, { last_by_subj: subject })),
    );
    const target = Math.max(...newest.map((message) => message?.seq ?? 0));
    if (target < from) known.resolve();
    for await (const batch of readPlain(streams, { after: from - 1, filter, signal })) {
      for (const logged of batch) {
        if ("undecodable" in logged) {
          report({ what: "an event of an account or workspace cannot be read", ref: logged.ref });
        } else {
          revocations.see(logged);
        }
        if (logged.sequence >= target) known.resolve();
      }
    }
  };
  const late = clock.after(limits.revocations_wait_ms, () =>
    known.reject(new AppError("unavailable", "What was revoked cannot be read from the log.")),
  );
  known.promise.catch(() => undefined).finally(late);
  follow().catch((error: unknown) => {
    known.reject(error);
    if (!signal.aborted) report({ what: "revocations are no longer followed", error });
  });
  return { ready: known.promise, stop: () => ending.abort() };
}
