/**
 * The gateway pushes only what is next (docs/ARCHITECTURE.md). A cursor is fed commits and token frames in
 * any order, lost and repeated, and gives out exactly what its reader may see next: revision =
 * last + 1; seq = last + 1 of the attempt that was announced; the event that ends a turn after that
 * turn's last frame, then its `end`. This one rule serves live sockets, resume, slow clients, a lost
 * connection and a lost memory stream (I5, I6). Pure: no I/O, no clock.
 *
 * It folds from a commit where no turn ran (`base`), silently up to where its reader stands, so that
 * it knows which turn is open there. Missing frames are cut from the log: from an ending event at
 * once, from checkpoints when they are pushed, or, in a replay, when the log's end is reached, so
 * that a replay shows the frames of a turn's last attempt only.
 */
import { type Commit, empty_head, type Head, lastRevision } from "../../schemas/commit.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import type { EndFrame, EventFrame, TokenOut } from "../../schemas/frames.ts";
import { limits } from "../../schemas/limits.ts";
import { cutFrames, type TokenFrame } from "../../schemas/tokens.ts";
import { endFrame, eventFrame, mergeFrames, tokenFrame } from "./push-frames.ts";

export type PushFrame = EventFrame | TokenOut | EndFrame;

/** How far a reader has read in a turn. */
export interface TurnPosition {
  readonly turn: string;
  readonly attempt: number;
  readonly seq: number;
}

/** Where a reader stands. `owed`: it has the event that ended a turn, and not yet its `end`. */
export interface Position {
  readonly revision: number;
  readonly turn: TurnPosition | null;
  readonly owed: EndFrame | null;
}
export const start_position: Position = { revision: 0, turn: null, owed: null };

/** What a cursor lacks: commits behind its head, or frames of the open turn behind `after`. */
export type Need =
  | { readonly kind: "events" }
  | {
      readonly kind: "frames";
      readonly turn: string;
      readonly attempt: number;
      readonly after: number;
    };

interface Waiting {
  readonly frame: TokenFrame;
  /** Counts arrivals, so that a read settles only what came before it. */
  readonly arrival: number;
}

/** Ended turns whose late frames are recognised without asking the log. */
const ended_remembered = 64;

export class Cursor {
  readonly conversation: string;
  #start: Position;
  #head: Head;
  #turn: { turn: string; attempt: number; seq: number } | null = null;
  #replaying: boolean;
  /** Frames of checkpoints that a replay holds back until it knows they are of the last attempt. */
  #held: TokenFrame[] = [];
  #out: PushFrame[] = [];
  readonly #commits = new Map<number, Commit>();
  readonly #frames = new Map<string, Map<number, Waiting>>();
  #waiting = 0;
  #arrivals = 0;
  #overflowed = false;
  readonly #ended = new Set<string>();
  readonly #merge: boolean;
  readonly #applied: (commit: Commit, before: Head, quiet: boolean) => void;

  /**
   * `base`: the commit to fold from, at which no turn ran; its revision is at most the reader's.
   * `replaying`: commits come from the log; `live()` ends that. `merge: false` gives every token
   * frame by itself. `applied` hears each commit, once and in order, with the head before it and
   * whether no turn ran there.
   */
  constructor(
    conversation: string,
    start: Position,
    options: {
      base?: Head;
      replaying?: boolean;
      merge?: boolean;
      applied?: (commit: Commit, before: Head, quiet: boolean) => void;
    } = {},
  ) {
    this.conversation = conversation;
    this.#start = start;
    this.#head = options.base ?? empty_head;
    this.#replaying = options.replaying ?? false;
    this.#merge = options.merge ?? true;
    this.#applied = options.applied ?? (() => {});
    if (start.owed !== null) this.#out.push(start.owed);
  }

  /** The last commit it has taken. */
  get head(): Head {
    return this.#head;
  }

  /** The running turn there, and how far its reader has read it. */
  get turn(): TurnPosition | null {
    return this.#turn === null ? null : { ...this.#turn };
  }

  /** Where the reader stands once it has what `take` gave. */
  get position(): Position {
    const revision = Math.max(this.#head.revision, this.#start.revision);
    return { revision, turn: this.turn, owed: null };
  }

  commit(commit: Commit): void {
    if (lastRevision(commit) <= this.#head.revision) return;
    if (commit.revision !== this.#head.revision + 1) {
      if (!this.#commits.has(commit.revision)) this.#wait();
      this.#commits.set(commit.revision, commit);
      return this.#bound();
    }
    let next: Commit | undefined = commit;
    while (next !== undefined) {
      this.#apply(next);
      next = this.#commits.get(this.#head.revision + 1);
      if (next !== undefined) this.#forgetCommit(next.revision);
    }
    for (const [revision] of this.#commits) {
      if (revision <= this.#head.revision) this.#forgetCommit(revision);
    }
    this.#drain();
  }

  frame(frame: TokenFrame): void {
    if (this.#ended.has(frame.t)) return;
    const turn = this.#turn;
    if (turn !== null && frame.t === turn.turn) {
      if (frame.a < turn.attempt || (frame.a === turn.attempt && frame.s <= turn.seq)) return;
      if (!this.#replaying && frame.a === turn.attempt && frame.s === turn.seq + 1) {
        this.#push(frame);
        return this.#drain();
      }
    }
    const key = `${frame.t} ${frame.a}`;
    let attempt = this.#frames.get(key);
    if (attempt === undefined) this.#frames.set(key, (attempt = new Map<number, Waiting>()));
    if (attempt.has(frame.s)) return;
    attempt.set(frame.s, { frame, arrival: ++this.#arrivals });
    this.#wait();
    this.#bound();
  }

  /** Ends a replay: the log's end was reached, so the open turn's attempt is its last one. */
  live(): void {
    this.#replaying = false;
    if (this.#turn !== null) this.#fill(this.#held);
    this.#held = [];
    this.#drain();
  }

  /** What may be pushed now, in order; it is the caller's from here on. */
  take(): PushFrame[] {
    const out = this.#out;
    if (out.length > 0) this.#out = [];
    return out;
  }

  /** What is missing before what waits can be pushed; null when nothing waits. */
  need(): Need | null {
    if (this.#overflowed || this.#commits.size > 0) return { kind: "events" };
    const turn = this.#turn;
    const open = turn === null ? "" : `${turn.turn} ${turn.attempt}`;
    for (const key of this.#frames.keys()) if (key !== open) return { kind: "events" };
    if (turn === null || this.#frames.size === 0) return null;
    return { kind: "frames", turn: turn.turn, attempt: turn.attempt, after: turn.seq };
  }

  /** Marks the beginning of a read of the log; give the mark to `settle` when it is done. */
  mark(): number {
    this.#overflowed = false;
    return this.#arrivals;
  }

  /**
   * The log was read to its end after `mark`: frames that came before and still belong to no
   * running attempt are of a turn that has ended, since a turn's start is stored before its frames.
   */
  settle(mark: number): void {
    const turn = this.#turn;
    const open = turn === null ? "" : `${turn.turn} ${turn.attempt}`;
    for (const [key, attempt] of this.#frames) {
      if (key === open) continue;
      for (const [seq, waiting] of attempt) {
        if (waiting.arrival > mark) continue;
        attempt.delete(seq);
        this.#waiting--;
      }
      if (attempt.size === 0) this.#frames.delete(key);
    }
  }

  #wait(): void {
    this.#waiting++;
  }

  /** Bounded: past the limit it forgets what waits, and everything is read again (I11). */
  #bound(): void {
    if (this.#waiting <= limits.cursor_pending_max) return;
    this.#commits.clear();
    this.#frames.clear();
    this.#waiting = 0;
    this.#overflowed = true;
  }

  #forgetCommit(revision: number): void {
    if (this.#commits.delete(revision)) this.#waiting--;
  }

  #forgetFrames(keep: (turn: string, attempt: number) => boolean): void {
    for (const [key, attempt] of this.#frames) {
      const [turn = "", number] = key.split(" ");
      if (keep(turn, Number(number))) continue;
      this.#waiting -= attempt.size;
      this.#frames.delete(key);
    }
  }

  #apply(commit: Commit): void {
    this.#applied(commit, this.#head, this.#turn === null);
    for (const [index, event] of commit.events.entries()) {
      const revision = commit.revision + index;
      const aloud = revision > this.#start.revision;
      const ended = this.#before(event, aloud);
      if (aloud) {
        this.#out.push(eventFrame(this.conversation, revision, commit.at, event));
        if (ended !== null) this.#out.push(ended);
      }
    }
    this.#head = {
      revision: lastRevision(commit),
      sequence: commit.sequence,
      hash: commit.hash,
    };
  }

  /** What an event means for the open turn; pushes the frames that belong before it. */
  #before(event: DomainEvent, aloud: boolean): EndFrame | null {
    switch (event.type) {
      case "turn.started":
      case "turn.restarted":
        this.#announce(event.data.turn, event.data.attempt);
        return null;
      case "turn.checkpointed": {
        const { turn, attempt, first, seq, text, frames } = event.data;
        if (this.#turn?.turn !== turn || this.#turn.attempt !== attempt) return null;
        if (seq <= this.#turn.seq) return null;
        const cut = cutFrames(text, frames, turn, attempt, first);
        if (this.#replaying || !aloud) this.#held.push(...cut);
        else this.#fill(cut);
        return null;
      }
      case "turn.completed":
      case "turn.cancelled":
      case "turn.failed": {
        const { turn, attempt, text, frames } = event.data;
        if (this.#turn?.turn === turn) {
          if (aloud && attempt === this.#turn.attempt) {
            this.#fill(cutFrames(text, frames, turn, attempt));
          }
          this.#turn = null;
          this.#held = [];
        }
        this.#remember(turn);
        return endFrame(this.conversation, event);
      }
      default:
        return null;
    }
  }

  #announce(turn: string, attempt: number): void {
    const read = this.#start.turn;
    const seq = read !== null && read.turn === turn && read.attempt === attempt ? read.seq : 0;
    this.#turn = { turn, attempt, seq };
    this.#held = [];
    this.#forgetFrames((of, number) => of !== turn || number >= attempt);
  }

  #remember(turn: string): void {
    this.#ended.add(turn);
    if (this.#ended.size > ended_remembered) {
      for (const oldest of this.#ended) {
        this.#ended.delete(oldest);
        break;
      }
    }
    this.#forgetFrames((of) => of !== turn);
  }

  #push(frame: TokenFrame): void {
    if (this.#turn !== null) this.#turn.seq = frame.s;
    this.#out.push(tokenFrame(this.conversation, frame));
  }

  /** Pushes those of `frames` that the reader lacks, merged. */
  #fill(frames: readonly TokenFrame[]): void {
    const turn = this.#turn;
    if (turn === null) return;
    const missing: TokenFrame[] = [];
    for (const frame of frames) {
      if (frame.s !== turn.seq + 1) continue;
      missing.push(frame);
      turn.seq = frame.s;
    }
    if (this.#merge) this.#out.push(...mergeFrames(this.conversation, missing));
    else for (const frame of missing) this.#out.push(tokenFrame(this.conversation, frame));
  }

  /** Pushes the waiting frames that have become next. */
  #drain(): void {
    const turn = this.#turn;
    if (turn === null || this.#replaying || this.#frames.size === 0) return;
    const key = `${turn.turn} ${turn.attempt}`;
    const attempt = this.#frames.get(key);
    if (attempt === undefined) return;
    const next: TokenFrame[] = [];
    for (let seq = turn.seq + 1; ; seq++) {
      const waiting = attempt.get(seq);
      if (waiting === undefined) break;
      next.push(waiting.frame);
    }
    this.#fill(next);
    for (const seq of attempt.keys()) {
      if (seq > turn.seq) continue;
      attempt.delete(seq);
      this.#waiting--;
    }
    if (attempt.size === 0) this.#frames.delete(key);
  }
}
