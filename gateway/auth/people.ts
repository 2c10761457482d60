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
  reading: Promise<V> | null;
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
    const kept = this.#kept.get(key) ?? { head: empty_head, view: this.#empty(), reading: null };
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    for (const [oldest, one] of this.#kept) {
      if (this.#kept.size <= this.#max) break;
      if (one !== kept) this.#kept.delete(oldest);
    }
    // What runs may have asked before the change that the caller knows of: so it is asked again.
    const before = kept.reading;
    const reading = (before?.catch(() => undefined) ?? Promise.resolve()).then(() =>
      this.#read(ref, kept),
    );
    kept.reading = reading;
    try {
      return await reading;
    } catch (error) {
      // The log may have been replaced by another one: the next look begins anew.
      if (this.#kept.get(key) === kept) this.#kept.delete(key);
      throw error;
    } finally {
      if (kept.reading === reading) kept.reading = null;
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
