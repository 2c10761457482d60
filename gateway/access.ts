/**
 * Who may do what with a conversation: its owner, whom it is shared with, and, where an integration
 * began it, those who manage the tenant. Everybody else is told that it does not exist (I10).
 *
 * The log is the truth. An owner never changes and is remembered; of everybody else the leader is asked
 * for the conversation's last commit, and what is behind the list that is remembered is read. Lists
 * also follow the commits that this gateway sees, so that whoever is reading stops at once when it is
 * not shared any more.
 */
import { type Commit, empty_head, type Head, headOf, lastRevision } from "../schemas/commit.ts";
import { AppError } from "../schemas/errors.ts";
import { type ActorRef, type Clock, refKey } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { type Access, no_shares, shareOf, type Shares, withShare } from "../schemas/sharing.ts";
import type { Log } from "../streams/log/log.ts";
import { type Identity, permits } from "./auth/identity.ts";
import type { Report } from "./ports.ts";

/** Whether its user may go on reading. */
export interface Right {
  /** Calls back once when it is gone, maybe at once; the result ends the watching. */
  watch(lost: () => void): () => void;
}

/** A conversation's owner and shares, folded commit by commit. */
class AccessList {
  #head: Head = empty_head;
  /** Undefined until its first commit is known. */
  #owner: string | null | undefined = undefined;
  #shares: Shares = no_shares;
  #size = 0;
  readonly #followers = new Set<() => void>();

  get head(): Head {
    return this.#head;
  }
  /** How many it is shared with: what it takes in memory. */
  get size(): number {
    return this.#size;
  }
  get followed(): boolean {
    return this.#followers.size > 0;
  }

  /** Takes the next commit; false when one before it is missing. */
  fold(commit: Commit): boolean {
    if (lastRevision(commit) <= this.#head.revision) return true;
    if (commit.revision !== this.#head.revision + 1) return false;
    let changed = false;
    for (const { type, data } of commit.events) {
      if (type === "conversation.started") this.#owner = data.owner;
      else if (type === "conversation.shared") this.#share(data.user, data.role);
      else if (type === "conversation.unshared") this.#share(data.user, null);
      else continue;
      changed = true;
    }
    this.#head = headOf(commit);
    if (changed) for (const call of [...this.#followers]) call();
    return true;
  }

  /** Null: none. Undefined: nothing is known of it yet. */
  of(who: Identity): Access | null | undefined {
    if (this.#owner === undefined) return undefined;
    const manages = this.#owner === null && permits(who, "conversations.manage");
    return this.#owner === who.user || manages ? "owner" : shareOf(this.#shares, who.user);
  }

  follow(call: () => void): () => void {
    this.#followers.add(call);
    return () => this.#followers.delete(call);
  }

  #share(user: string, role: "editor" | "viewer" | null): void {
    const before = shareOf(this.#shares, user) === null ? 0 : 1;
    this.#shares = withShare(this.#shares, user, role);
    this.#size += (role === null ? 0 : 1) - before;
  }
}

const again_ms = 1_000;
/** Lists that are looked at when one must go. */
const looked_max = 8;

export class Owners {
  readonly #parts: {
    readonly log: Pick<Log, "first" | "last" | "read">;
    readonly clock: Clock;
    readonly report: Report;
  };
  /** The oldest first. */
  readonly #lists = new Map<string, AccessList>();
  #shares = 0;

  constructor(parts: { log: Pick<Log, "first" | "last" | "read">; clock: Clock; report: Report }) {
    this.#parts = parts;
  }

  /** A commit was seen, in whatever order. */
  noticed(commit: Commit): void {
    const key = refKey(commit.ref);
    const list = this.#lists.get(key) ?? (commit.revision === 1 ? this.#list(commit.ref) : null);
    if (list === null || this.#fold(list, commit)) return;
    // Whoever opens it reads it from its first commit on, and brings what is missing.
    if (list.followed && list.head.revision > 0) this.#mend(commit.ref);
  }

  /** What this user may do with it, by the leader's word; null for nothing, or when there is none. */
  async accessOf(ref: ActorRef, who: Identity): Promise<Access | null> {
    if (ref.tenant !== who.tenant || ref.kind !== "conversation") return null;
    const list = this.#list(ref);
    if (list.head.revision === 0) {
      const first = await this.#parts.log.first(ref);
      if (first === null) {
        // What does not exist takes nobody's place.
        if (!list.followed && list.head.revision === 0) this.#lists.delete(refKey(ref));
        return null;
      }
      this.#fold(list, first);
    }
    const known = list.of(who);
    return known === "owner" ? known : ((await this.#current(ref))?.of(who) ?? null);
  }

  /** Whether this user may read it. */
  async access(ref: ActorRef, who: Identity): Promise<"granted" | "denied" | "absent"> {
    if (ref.tenant !== who.tenant) return "denied";
    if ((await this.accessOf(ref, who)) !== null) return "granted";
    return this.#lists.get(refKey(ref))?.of(who) === undefined ? "absent" : "denied";
  }

  /** What users may do with it once this commit has happened. */
  async after(commit: Commit): Promise<(who: Identity) => Access | null> {
    const list = this.#list(commit.ref);
    if (!this.#fold(list, commit)) await this.#catchUp(commit.ref, list);
    return (who) => (who.tenant === commit.ref.tenant ? list.of(who) : null) ?? null;
  }

  /** What a reading of it stands on. A conversation that does not exist yet has no one to lose it. */
  right(ref: ActorRef, who: Identity): Right {
    return {
      watch: (lost) => {
        const list = this.#list(ref);
        let over = list.of(who) === "owner";
        const look = (): void => {
          if (over || list.of(who) !== null) return;
          end();
          lost();
        };
        const unfollow = over ? () => undefined : list.follow(look);
        const end = (): void => {
          over = true;
          unfollow();
        };
        queueMicrotask(look);
        return end;
      },
    };
  }

  #fold(list: AccessList, commit: Commit): boolean {
    const before = list.size;
    const folded = list.fold(commit);
    if (this.#lists.get(refKey(commit.ref)) === list) this.#shares += list.size - before;
    return folded;
  }

  /** The list of this conversation, known or not, as the one that was used last. */
  #list(ref: ActorRef): AccessList {
    const key = refKey(ref);
    const list = this.#lists.get(key) ?? new AccessList();
    this.#lists.delete(key);
    this.#lists.set(key, list);
    this.#trim();
    return list;
  }

  /** Forgets the oldest that nobody follows (I11); of those that are, there are as many as sockets hold. */
  #trim(): void {
    let looked = 0;
    for (const [key, list] of this.#lists) {
      const full =
        this.#lists.size > limits.access_cached_max || this.#shares > limits.shares_cached_max;
      if (!full || looked++ >= looked_max) return;
      this.#lists.delete(key);
      // One that is followed goes to the end: its followers must hear of what it is told.
      if (list.followed || this.#lists.size === 0) this.#lists.set(key, list);
      else this.#shares -= list.size;
    }
  }

  /** The list as the leader's last commit leaves it; null when there is none. */
  async #current(ref: ActorRef): Promise<AccessList | null> {
    const last = await this.#parts.log.last(ref);
    if (last === null) return null;
    const list = this.#list(ref);
    if (!this.#fold(list, last)) await this.#catchUp(ref, list);
    return list;
  }

  async #catchUp(ref: ActorRef, list: AccessList): Promise<void> {
    for await (const commit of this.#parts.log.read(ref, list.head)) this.#fold(list, commit);
  }

  /** Reads what a list that is followed has missed, until it can. */
  #mend(ref: ActorRef): void {
    this.#current(ref).catch((error: unknown) => {
      const passing = error instanceof AppError && error.code === "unavailable";
      if (!passing) this.#parts.report({ what: "an access list could not be read", ref, error });
      this.#parts.clock.after(again_ms, () => {
        if (this.#lists.get(refKey(ref))?.followed === true) this.#mend(ref);
      });
    });
  }
}
