/**
 * A room is one followed conversation: one subscription to its commits and one to its tokens, shared
 * by all sockets of this gateway. Its head cursor decides what is next; each frame is serialized
 * once and handed to every subscription that stands exactly at the head. Bounded (I11): the tail of
 * commits it keeps, and the frames of the running attempt (at most one answer).
 */
import type { Commit, Head } from "../../schemas/commit.ts";
import type { ActorRef, Clock } from "../../schemas/ids.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { Cursor, type Position, type PushFrame, start_position } from "./cursor.ts";
import type { Lanes } from "./lanes.ts";
import type { Report } from "../ports.ts";
import { OpenTurns } from "./open-turns.ts";
import { advance } from "./push-frames.ts";
import type { LogPort, Replays } from "./replays.ts";
import { Tail } from "./tail.ts";

/** One frame on its way to every subscription at the head, and where a reader stands after it. */
export interface Outgoing {
  readonly frame: PushFrame;
  /** Its JSON. */
  readonly bytes: Uint8Array;
  readonly after: Position;
}
export interface Member {
  deliver(batch: readonly Outgoing[]): void;
}
export interface RoomParts {
  readonly lanes: Pick<Lanes, "commits" | "tokens" | "replay" | "reconnected">;
  readonly log: LogPort;
  /** What readers behind the head read of the same log. */
  readonly replays: Replays;
  readonly clock: Clock;
  readonly report: Report;
  /** Hears every commit before anything of it is pushed. */
  noticed(commit: Commit): void;
}

const encoder = new TextEncoder();
/** Waits before what is missing is looked for again; the last one repeats. */
const retry_ms = [5, 20, 100, 500, 2_000] as const;
/** A turn that runs, or a commit that was acknowledged, and nothing came for so long: the log is read. */
const doubt_ms = 5_000;

export class Room {
  readonly ref: ActorRef;
  readonly opened: Promise<void>;
  readonly tail = new Tail();
  readonly turns = new OpenTurns();
  readonly #parts: RoomParts;
  readonly #members = new Set<Member>();
  readonly #head: Cursor;
  readonly #stops: (() => void)[] = [];
  #position: Position = start_position;
  /** The frames of the running attempt, all that were pushed. */
  #frames: TokenFrame[] = [];
  #live = false;
  #closed = false;
  #pumping = false;
  #filling = false;
  #stale = false;
  #retries = 0;
  #moved: (() => void)[] = [];
  /** The highest revision that a worker has acknowledged to this gateway. */
  #expected = 0;
  #movements = 0;
  #doubting: (() => void) | null = null;

  constructor(ref: ActorRef, parts: RoomParts) {
    this.ref = ref;
    this.#parts = parts;
    this.#head = new Cursor(ref.id, start_position, {
      replaying: true,
      merge: false,
      applied: (commit, before, quiet) => {
        this.tail.add(commit, before, quiet);
        this.turns.apply(commit);
        if (isDeleted(commit)) this.#forget();
      },
    });
    this.opened = this.#open();
    this.opened.catch(() => this.close());
  }

  /** Where a subscription that is up to date stands. */
  get position(): Position {
    return this.#position;
  }
  /** What was pushed of the running attempt, from its first frame on. */
  get frames(): readonly TokenFrame[] {
    return this.#frames;
  }
  get closed(): boolean {
    return this.#closed;
  }

  join(member: Member): void {
    this.#members.add(member);
  }
  leave(member: Member): void {
    this.#members.delete(member);
  }

  /** Resolves at the room's next movement; for a reader that has seen more than the room has. */
  moved(): Promise<void> {
    return new Promise((resolve) => this.#moved.push(resolve));
  }

  /** A commit is known to be in the log up to `revision`: one that does not come is looked for. */
  expect(revision: number): void {
    this.#expected = Math.max(this.#expected, revision);
    this.#doubt();
  }

  /** Calls after `ms`. */
  later(ms: number, call: () => void): void {
    this.#parts.clock.after(ms, call);
  }

  /** Commits behind `base`, from the log. */
  read(base: Head): AsyncIterable<Commit> {
    return this.#parts.replays.read(this.ref, base);
  }

  /** The JSON of a frame that many readers behind the head are sent, if it is at hand. */
  json(frame: PushFrame): Uint8Array | null {
    return this.#parts.replays.json.of(this.ref, frame);
  }

  /** Resolves when it is the turn of a reader behind the head. */
  turn(): Promise<void> {
    return this.#parts.replays.turn();
  }

  close(): void {
    this.#closed = true;
    this.#forget();
    this.#doubting?.();
    for (const stop of this.#stops.splice(0)) stop();
    this.#wake();
  }

  /**
   * Follow first, then read, by one connection and without a wait between: what is stored in between
   * comes by both ways, and counts once.
   */
  async #open(): Promise<void> {
    const { lanes } = this.#parts;
    const commits = lanes.commits(
      this.ref,
      (commit) => this.#commit(commit),
      () => this.#refill(),
    );
    const tokens = lanes.tokens(this.ref, (frame) => {
      this.#head.frame(frame);
      this.#pump();
    });
    this.#stops.push(
      () => commits.stop(),
      () => tokens.stop(),
      lanes.reconnected(() => this.#refill()),
    );
    await this.#read();
    this.#head.live();
    this.#collect();
    this.#live = true;
    this.#pump();
  }

  #commit(commit: Commit): void {
    this.#parts.noticed(commit);
    this.#head.commit(commit);
    this.#pump();
  }

  async #read(): Promise<void> {
    const mark = this.#head.mark();
    for await (const commit of this.#parts.log.read(this.ref, this.#head.head)) {
      this.#commit(commit);
      if (!this.#live) this.#collect();
    }
    const turn = this.#head.turn;
    if (turn !== null) {
      const { lanes } = this.#parts;
      for (const frame of await lanes.replay(this.ref, turn.turn, turn.attempt, turn.seq)) {
        this.#head.frame(frame);
      }
    }
    this.#head.settle(mark);
  }

  /** One push per burst: everything that one read of the connection brought. */
  #pump(): void {
    if (!this.#live || this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      if (this.#closed) return;
      const batch = this.#collect();
      if (batch.length > 0) {
        for (const member of this.#members) member.deliver(batch);
        this.#wake();
      }
      if (this.#head.need() !== null) void this.#fill();
      else this.#retries = 0;
      this.#doubt();
    });
  }

  /**
   * The last commit of a turn has none behind it that would show it missing, and it is lost when
   * the server that stores it dies before it tells of it. So silence where something must come is
   * doubted: one read of the log ends it.
   */
  #doubt(): void {
    const due = this.#head.turn !== null || this.#head.head.revision < this.#expected;
    if (!due || this.#closed || this.#doubting !== null) return;
    const before = this.#movements;
    this.#doubting = this.#parts.clock.after(doubt_ms, () => {
      this.#doubting = null;
      if (this.#movements === before) this.#refill();
      this.#doubt();
    });
  }

  #forget(): void {
    this.tail.forget();
    this.#parts.replays.forget(this.ref);
  }

  #wake(): void {
    for (const resolve of this.#moved.splice(0)) resolve();
  }

  #collect(): Outgoing[] {
    return this.#head.take().map((frame) => {
      this.#movements++;
      this.#position = advance(this.#position, frame);
      this.#keep(frame);
      const bytes = encoder.encode(JSON.stringify(frame));
      return { frame, bytes, after: this.#position };
    });
  }

  #keep(frame: PushFrame): void {
    if (frame.type === "token") {
      this.#frames.push({ t: frame.turn, a: frame.attempt, s: frame.seq, d: frame.content });
    } else if (this.#frames.length > 0 && frame.type === "event") {
      const turn = this.#position.turn;
      if (turn === null || turn.seq === 0) this.#frames = [];
    }
  }

  #refill(): void {
    this.#stale = true;
    void this.#fill();
  }

  /**
   * Reads what is missing, again and again with growing waits: a frame can for an instant be neither
   * in the subscription nor in memory; after that the next checkpoint or ending brings it.
   */
  async #fill(): Promise<void> {
    if (this.#filling || this.#closed) return;
    this.#filling = true;
    try {
      await this.opened;
      const wait = this.#stale ? 0 : (retry_ms[this.#retries] ?? 2_000);
      this.#retries++;
      await new Promise<void>((resolve) => this.#parts.clock.after(wait, resolve));
      if (this.#closed || (!this.#stale && this.#head.need() === null)) return;
      this.#stale = false;
      await this.#read();
    } catch (error) {
      this.#stale = true;
      this.#parts.report({ what: "a conversation could not be read", ref: this.ref, error });
      await new Promise<void>((resolve) => this.#parts.clock.after(1_000, resolve));
    } finally {
      this.#filling = false;
      this.#pump();
      if (this.#stale) void this.#fill();
    }
  }
}

const isDeleted = ({ events }: Commit): boolean =>
  events.some(({ type }) => type === "conversation.deleted");

/**
 * Whether a reader at `position` stands exactly where the room does. One that another gateway has
 * brought further waits for the room: joined, it would be told again what it has.
 */
export function isUpToDate(position: Position, room: Position): boolean {
  if (position.revision !== room.revision || position.owed !== null) return false;
  if (room.turn === null || position.turn === null) return room.turn === position.turn;
  const { turn, attempt, seq } = position.turn;
  return turn === room.turn.turn && attempt === room.turn.attempt && seq === room.turn.seq;
}
