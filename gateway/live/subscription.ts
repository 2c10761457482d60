/**
 * One socket's reading of one conversation. At the head it is a member of the room; behind it (a
 * resume, a slow socket) it has a cursor of its own that catches up from the log and joins when it
 * stands exactly where the room stands. A slow socket is only a lagging cursor: past the watermark
 * nothing is pushed, and its position is all that is kept (I6, I11).
 */
import { AppError } from "../../schemas/errors.ts";
import type { Right } from "../access.ts";
import { Cursor, type Position, type PushFrame } from "./cursor.ts";
import { advance } from "./push-frames.ts";
import { isUpToDate, type Member, type Outgoing, type Room } from "./room.ts";

/** What a subscription needs of its socket. `after`: where its reader stands once it has the frame. */
export interface Outlet {
  /** False past the watermark. */
  writable(): boolean;
  send(frame: PushFrame, after: Position): void;
  /** A frame whose JSON many share. */
  sendBytes(bytes: Uint8Array, frame: PushFrame, after: Position): void;
  /** Gathers what `call` sends into one write. */
  cork(call: () => void): void;
  /** Told when a cursor begins to lag, and when it does no longer. */
  lagging(change: 1 | -1): void;
}

/** Waits before a read of the log that failed is tried again; then the subscription fails. */
const again_ms = [100, 500, 2_000, 5_000] as const;

export class Subscription implements Member {
  readonly room: Room;
  readonly #outlet: Outlet;
  readonly #failed: (error: unknown) => void;
  readonly #right: Right;
  #unwatch: () => void = () => undefined;
  #position: Position | null = null;
  #state: "waiting" | "catching" | "joined" | "lagging" | "ended" = "waiting";
  #arrived: ((revision: number) => void) | null = null;
  /** Reads of the log in a row that failed without a step ahead. */
  #failures = 0;

  /** `failed` is called once it cannot go on; with `AppError("unshared")` when its reader may not. */
  constructor(room: Room, outlet: Outlet, failed: (error: unknown) => void, right: Right) {
    this.room = room;
    this.#right = right;
    this.#outlet = outlet;
    this.#failed = failed;
  }

  /** False until it was told where to begin. */
  get begun(): boolean {
    return this.#position !== null;
  }

  /** Begins behind `position`; `arrived` is called once, when the replay is done. */
  begin(position: Position, arrived: ((revision: number) => void) | null): void {
    if (this.#state !== "waiting") return;
    this.#position = position;
    this.#arrived = arrived;
    this.#state = "catching";
    this.#unwatch = this.#right.watch(() => {
      this.end();
      this.#failed(new AppError("unshared"));
    });
    this.#run();
  }

  /** The socket's buffer drained. */
  drained(): void {
    if (this.#state !== "lagging") return;
    this.#state = "catching";
    this.#outlet.lagging(-1);
    this.#run();
  }

  end(): void {
    if (this.#state === "lagging") this.#outlet.lagging(-1);
    this.#state = "ended";
    this.#unwatch();
    this.room.leave(this);
  }

  deliver(batch: readonly Outgoing[]): void {
    this.#outlet.cork(() => {
      for (const { frame, bytes, after } of batch) {
        if (this.#state !== "joined") return;
        if (!this.#outlet.writable()) return this.#lag();
        this.#outlet.sendBytes(bytes, frame, after);
        this.#position = after;
      }
    });
  }

  #lag(): void {
    this.room.leave(this);
    this.#state = "lagging";
    this.#outlet.lagging(1);
  }

  #run(): void {
    const before = this.#position;
    this.#catchUp().catch((error: unknown) => {
      if (this.#state === "ended") return;
      // Many that read anew at once make the log late: its position is kept, so it asks again.
      if (this.#position !== before) this.#failures = 0;
      const away = error instanceof AppError && error.code === "unavailable";
      const wait = away ? again_ms[this.#failures++] : undefined;
      if (wait === undefined) return this.#failed(error);
      this.room.later(wait, () => {
        if (this.#catching()) this.#run();
      });
    });
  }

  async #catchUp(): Promise<void> {
    await this.room.opened;
    // `#state` changes while this waits; it is read through a call so that the compiler knows.
    while (this.#catching() && !this.room.closed) {
      const position = this.#position;
      if (position === null) return;
      if (isUpToDate(position, this.room.position)) return this.#join();
      await this.room.turn();
      if (!this.#catching()) return;
      const { base, commits } = this.room.tail.from(position.revision);
      const cursor = new Cursor(this.room.ref.id, position, { base, replaying: true });
      for await (const commit of commits ?? this.room.read(base)) {
        cursor.commit(commit);
        if (!this.#push(cursor.take())) return;
      }
      if (!this.#catching()) return;
      if (cursor.head.revision < this.room.position.revision) continue;
      for (const frame of this.room.frames) cursor.frame(frame);
      cursor.live();
      if (!this.#push(cursor.take())) return;
      const reached = cursor.position;
      if (isUpToDate(reached, this.room.position)) return this.#join();
      await this.room.moved();
    }
  }

  #catching(): boolean {
    return this.#state === "catching";
  }

  #join(): void {
    this.#position = this.room.position;
    this.#state = "joined";
    this.room.join(this);
    const arrived = this.#arrived;
    this.#arrived = null;
    arrived?.(this.#position.revision);
  }

  /** False when the socket takes no more, or wants none. */
  #push(frames: readonly PushFrame[]): boolean {
    let goesOn = true;
    this.#outlet.cork(() => {
      for (const frame of frames) {
        if (!this.#catching()) goesOn = false;
        else if (!this.#outlet.writable()) {
          this.#lag();
          goesOn = false;
        }
        if (!goesOn || this.#position === null) return;
        const after = advance(this.#position, frame);
        const bytes = this.room.json(frame);
        if (bytes === null) this.#outlet.send(frame, after);
        else this.#outlet.sendBytes(bytes, frame, after);
        this.#position = after;
      }
    });
    return goesOn && this.#catching();
  }
}
