/**
 * `watch`: tells a user's sockets that one of his conversations, or of those shared with him, changed. One following per tenant,
 * shared. Changes of one conversation gather while the last one is still being read, so a hot
 * conversation costs one query at a time; what waits is one id per conversation, bounded (I11).
 */
import type { Commit } from "../../schemas/commit.ts";
import type { ConversationChange } from "../../schemas/frames.ts";
import { type Clock, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Queries } from "../../projections/queries/queries.ts";
import type { Identity } from "../auth/identity.ts";
import type { Owners } from "../access.ts";
import type { Following, Lanes } from "./lanes.ts";
import type { Report } from "../ports.ts";

export interface Watcher {
  readonly identity: Identity;
  changed(conversation: ConversationChange): void;
  /** It is not shared with him any more. */
  removed(conversation: string): void;
}

/** Events that change nothing of what a list of conversations shows. */
const unlisted: ReadonlySet<string> = new Set(["turn.checkpointed", "model.attempted"]);
const at_once = 8;
const again_ms = 1_000;

interface Watched {
  readonly following: Following;
  readonly watchers: Set<Watcher>;
  /** The newest commit of each conversation whose change was not told yet. */
  readonly dirty: Map<string, Commit>;
  busy: number;
}

export class Watches {
  readonly #tenants = new Map<string, Watched>();
  readonly #parts: {
    readonly lanes: Lanes;
    readonly queries: Queries;
    readonly owners: Owners;
    readonly clock: Clock;
    readonly report: Report;
  };

  constructor(parts: {
    lanes: Lanes;
    queries: Queries;
    owners: Owners;
    clock: Clock;
    report: Report;
  }) {
    this.#parts = parts;
  }

  /** Resolves when no later change is missed. */
  async watch(watcher: Watcher): Promise<void> {
    const { tenant } = watcher.identity;
    let watched = this.#tenants.get(tenant);
    if (watched === undefined) {
      const following = this.#parts.lanes.tenant(tenant, (commit) => this.#commit(tenant, commit));
      watched = { following, watchers: new Set(), dirty: new Map(), busy: 0 };
      this.#tenants.set(tenant, watched);
    }
    watched.watchers.add(watcher);
    await watched.following.ready;
  }

  leave(watcher: Watcher): void {
    const { tenant } = watcher.identity;
    const watched = this.#tenants.get(tenant);
    if (watched === undefined || !watched.watchers.delete(watcher)) return;
    if (watched.watchers.size > 0) return;
    watched.following.stop();
    this.#tenants.delete(tenant);
  }

  stop(): void {
    for (const { following } of this.#tenants.values()) following.stop();
    this.#tenants.clear();
  }

  #commit(tenant: string, commit: Commit): void {
    const watched = this.#tenants.get(tenant);
    if (watched === undefined || commit.ref.kind !== "conversation") return;
    this.#parts.owners.noticed(commit);
    for (const { type, data } of commit.events) {
      if (type !== "conversation.unshared") continue;
      for (const watcher of watched.watchers) {
        if (watcher.identity.user === data.user) watcher.removed(commit.ref.id);
      }
    }
    if (commit.events.every((event) => unlisted.has(event.type))) return;
    const key = refKey(commit.ref);
    // Past the limit the oldest waiting change goes; its conversation is told at its next change.
    if (!watched.dirty.has(key) && watched.dirty.size >= limits.commands_in_flight_max) {
      for (const oldest of watched.dirty.keys()) {
        watched.dirty.delete(oldest);
        break;
      }
    }
    watched.dirty.set(key, commit);
    this.#next(watched);
  }

  #next(watched: Watched): void {
    for (const [key, commit] of watched.dirty) {
      if (watched.busy >= at_once) return;
      watched.dirty.delete(key);
      watched.busy++;
      this.#tell(watched, commit)
        .catch((error: unknown) => {
          this.#parts.report({ what: "a change could not be told", ref: commit.ref, error });
          this.#parts.clock.after(again_ms, () => {
            if (watched.watchers.size === 0) return;
            if (!watched.dirty.has(key)) watched.dirty.set(key, commit);
            this.#next(watched);
          });
        })
        .finally(() => {
          watched.busy--;
          this.#next(watched);
        });
    }
  }

  async #tell(watched: Watched, commit: Commit): Promise<void> {
    const { tenant, id } = commit.ref;
    const accessOf = await this.#parts.owners.after(commit);
    const concerned = [...watched.watchers].filter((one) => accessOf(one.identity) !== null);
    if (concerned.length === 0) return;
    const row = await this.#parts.queries.conversation(tenant, id, commit.sequence);
    if (row === null) return;
    const { title, status, revision, updatedAt } = row;
    for (const watcher of concerned) {
      // Asked again: meanwhile it may have been unshared, and who lost it was told so.
      const access = accessOf(watcher.identity);
      if (access === null || !watched.watchers.has(watcher)) continue;
      watcher.changed({ id, title, status, revision, updatedAt, access });
    }
  }
}
