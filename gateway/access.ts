/**
 * Who may read a conversation: its owner; one that an integration began, the admins of its tenant.
 * Everybody else is told that it does not exist (I10). The owner never changes, so it is cached.
 */
import type { ActorRef } from "../schemas/ids.ts";
import type { Commit } from "../schemas/commit.ts";
import { refKey } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Log } from "../streams/log/log.ts";
import { type Identity, permits } from "./auth/identity.ts";

export type Access = "granted" | "denied" | "absent";

/** The owner that a conversation's first commit names; undefined when it is no first commit. */
export function ownerOf(first: Commit): string | null | undefined {
  for (const event of first.events) {
    if (event.type === "conversation.started") return event.data.owner;
  }
  return undefined;
}

export function grants(owner: string | null, who: Identity): boolean {
  return owner === null ? permits(who, "conversations.manage") : owner === who.user;
}

export class Owners {
  readonly #log: Log;
  readonly #owners = new Map<string, string | null>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** The owner of a conversation of this tenant; undefined when it does not exist. */
  async owner(ref: ActorRef): Promise<string | null | undefined> {
    const key = refKey(ref);
    const cached = this.#owners.get(key);
    if (cached !== undefined) return cached;
    // The leader's word: a replica may not have it yet.
    const first = await this.#log.first(ref);
    if (first === null) return undefined;
    const owner = ownerOf(first);
    if (owner !== undefined) this.#remember(key, owner);
    return owner;
  }

  async access(ref: ActorRef, who: Identity): Promise<Access> {
    if (ref.tenant !== who.tenant) return "denied";
    const owner = await this.owner(ref);
    if (owner === undefined) return "absent";
    return grants(owner, who) ? "granted" : "denied";
  }

  #remember(key: string, owner: string | null): void {
    this.#owners.set(key, owner);
    if (this.#owners.size <= limits.access_cached_max) return;
    for (const oldest of this.#owners.keys()) {
      this.#owners.delete(oldest);
      break;
    }
  }
}
