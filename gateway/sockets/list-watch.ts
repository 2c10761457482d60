/**
 * A socket that watches its user's list of conversations (`watch`). Of a socket that does not read
 * only the last change of each conversation is kept, and only so many (I11).
 */
import type { ConversationChange, ServerFrame } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import type { Identity } from "../auth/identity.ts";
import type { Watcher, Watches } from "../live/watch.ts";

/** The socket that is told. */
interface Reader {
  writable(): boolean;
  send(frame: ServerFrame): void;
}

export class ListWatch {
  readonly #watches: Watches;
  readonly #reader: Reader;
  #watcher: Watcher | null = null;
  /** Changes that wait until the socket is read. */
  readonly #changes = new Map<string, ConversationChange>();

  constructor(watches: Watches, reader: Reader) {
    this.#watches = watches;
    this.#reader = reader;
  }

  /** Resolves when no later change is missed; once it watches, at once. */
  async open(identity: Identity): Promise<void> {
    if (this.#watcher !== null) return;
    const watcher: Watcher = {
      identity,
      changed: (conversation) => {
        if (this.#watcher === watcher) this.#changed(conversation);
      },
      removed: (conversation) => {
        if (this.#watcher === watcher) this.#reader.send({ type: "removed", conversation });
      },
    };
    this.#watcher = watcher;
    await this.#watches.watch(watcher);
  }

  /** Tells what waits; false when the socket is full again before all of it was told. */
  drained(): boolean {
    for (const [id, conversation] of this.#changes) {
      if (!this.#reader.writable()) return false;
      this.#changes.delete(id);
      this.#reader.send({ type: "changed", conversation });
    }
    return true;
  }

  close(): void {
    if (this.#watcher !== null) this.#watches.leave(this.#watcher);
    this.#watcher = null;
  }

  #changed(conversation: ConversationChange): void {
    if (this.#changes.size === 0 && this.#reader.writable()) {
      return this.#reader.send({ type: "changed", conversation });
    }
    this.#changes.delete(conversation.id);
    this.#changes.set(conversation.id, conversation);
    if (this.#changes.size <= limits.changes_unread_max) return;
    for (const oldest of this.#changes.keys()) {
      this.#changes.delete(oldest);
      break;
    }
  }
}
