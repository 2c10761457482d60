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

export class Rooms {
  readonly #parts: RoomParts;
  readonly #rooms = new Map<string, { room: Room; users: number }>();
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
      entry = { room: new Room(ref, this.#parts), users: 0 };
      this.#rooms.set(key, entry);
    }
    const held = entry;
    held.users++;
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
        this.#parts.clock.after(linger_ms, () => {
          this.#lingering--;
          this.#close(key, held);
        });
      },
    };
  }

  stop(): void {
    for (const { room } of this.#rooms.values()) room.close();
    this.#rooms.clear();
  }

  #close(key: string, held: { room: Room; users: number }): void {
    if (held.users > 0) return;
    held.room.close();
    if (this.#rooms.get(key) === held) this.#rooms.delete(key);
  }
}
