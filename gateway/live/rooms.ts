/** The rooms of this gateway, each held as long as someone uses it and a moment longer. */
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { Room, type RoomParts } from "./room.ts";

/** An unused room stays this long, so that a reload or the next request finds it open. */
const linger_ms = 2_000;
const lingering_max = 1_000;

export interface RoomLease {
  readonly room: Room;
  release(): void;
}

interface Held {
  readonly room: Room;
  users: number;
  /** Ends the lingering of one that nobody uses. */
  stay: (() => void) | null;
}

export class Rooms {
  readonly #parts: RoomParts;
  readonly #rooms = new Map<string, Held>();
  #lingering = 0;

  constructor(parts: RoomParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#rooms.size;
  }

  /** Enters a room; release exactly once. */
  enter(ref: ActorRef): RoomLease {
    const key = refKey(ref);
    let entry = this.#rooms.get(key);
    if (entry === undefined || entry.room.closed) {
      entry = { room: new Room(ref, this.#parts), users: 0, stay: null };
      this.#rooms.set(key, entry);
    }
    const held = entry;
    held.users++;
    // It lingers from its last use on: an earlier one's end would close it between two requests.
    held.stay?.();
    let released = false;
    return {
      room: held.room,
      release: () => {
        if (released) return;
        released = true;
        held.users--;
        if (held.users > 0) return;
        if (this.#lingering >= lingering_max) return this.#close(key, held);
        this.#lingering++;
        const cancel = this.#parts.clock.after(linger_ms, () => {
          held.stay?.();
          this.#close(key, held);
        });
        held.stay = () => {
          held.stay = null;
          this.#lingering--;
          cancel();
        };
      },
    };
  }

  stop(): void {
    for (const { room, stay } of this.#rooms.values()) {
      stay?.();
      room.close();
    }
    this.#rooms.clear();
  }

  #close(key: string, held: Held): void {
    held.room.close();
    if (this.#rooms.get(key) === held) this.#rooms.delete(key);
  }
}
