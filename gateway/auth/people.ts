/**
 * Accounts and workspaces as the log has them now: every answer has asked the leader for what came
 * since the last one, so that nobody signs in with a role or a password that is no more, whatever a
 * read model lags. What was folded is kept, so that an answer costs one look at the log; bounded by
 * number (I11). Of one actor one fold runs at a time.
 */
import { type Commit, empty_head, type Head, headOf } from "../../schemas/commit.ts";
import { accountRef, type ActorRef, refKey, workspaceRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Log } from "../../streams/log/log.ts";
import { type AccountView, foldAccount, noAccount } from "./account-view.ts";
import { foldWorkspace, noWorkspace, type WorkspaceView } from "./workspace-view.ts";

export interface People {
  /** By the account's id. Throws `unavailable`. */
  account(id: string): Promise<AccountView>;
  /** Throws `unavailable`. */
  workspace(tenant: string): Promise<WorkspaceView>;
}

interface Kept<V> {
  head: Head;
  view: V;
  /** The look that is being taken, and the one that comes after it. */
  running: Promise<V> | null;
  next: Promise<V> | null;
}

class Folds<V> {
  readonly #log: Log;
  readonly #empty: () => V;
  readonly #fold: (view: V, commit: Commit) => V;
  readonly #max: number;
  /** The one that was asked for longest ago comes first. */
  readonly #kept = new Map<string, Kept<V>>();

  constructor(log: Log, empty: () => V, fold: (view: V, commit: Commit) => V, max: number) {
    this.#log = log;
    this.#empty = empty;
    this.#fold = fold;
    this.#max = max;
  }

  async now(ref: ActorRef): Promise<V> {
    const key = refKey(ref);
    const kept: Kept<V> = this.#kept.get(key) ?? {
      ...{ head: empty_head, view: this.#empty() },
      ...{ running: null, next: null },
    };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    for (const [oldest, one] of this.#kept) {
      if (this.#kept.size <= this.#max) break;
      if (one !== kept) this.#kept.delete(oldest);
    }
    // What runs may have asked before the change that the caller knows of. So all who come meanwhile
    // wait for one more look, and a flood of them costs no more than that.
    const { running } = kept;
    if (running === null && kept.next === null) return this.#look(ref, kept);
    kept.next ??= Promise.resolve(running)
      .catch(() => null)
      .then(() => {
        kept.next = null;
        return this.#look(ref, kept);
      });
    return kept.next;
  }

  async #look(ref: ActorRef, kept: Kept<V>): Promise<V> {
    const reading = this.#read(ref, kept);
    kept.running = reading;
    try {
      return await reading;
    } catch (error) {
      // The log may have been replaced by another one: the next look begins anew.
      const key = refKey(ref);
      if (this.#kept.get(key) === kept) this.#kept.delete(key);
      throw error;
    } finally {
      kept.running = null;
    }
  }

  async #read(ref: ActorRef, kept: Kept<V>): Promise<V> {
    for await (const commit of this.#log.read(ref, kept.head)) {
      kept.view = this.#fold(kept.view, commit);
      kept.head = headOf(commit);
    }
    return kept.view;
  }
}

export function openPeople(log: Log): People {
  const accounts = new Folds(log, () => noAccount, foldAccount, limits.accounts_known_max);
  const workspaces = new Folds(log, noWorkspace, foldWorkspace, limits.workspaces_known_max);
  return {
    account: (id) => accounts.now(accountRef(id)),
    workspace: (tenant) => workspaces.now(workspaceRef(tenant)),
  };
}
