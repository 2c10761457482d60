/**
 * What readers behind the head read of the log, read once for all of them. A crowd that was away comes
 * back to the same places; each by itself would read the same history, and of every batch only what
 * its socket takes. Pieces are kept while their room is open, only so much of all rooms (I11), and
 * never the end of the log: whoever comes to it is told at least what the leader had when he asked.
 */
import { type Commit, type Head, headOf, lastRevision } from "../../schemas/commit.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { SharedJson } from "./shared-json.ts";
import { charsOf } from "./tail.ts";

/** What of the log is read: the commits behind a head, in order. */
export interface LogPort {
  read(ref: ActorRef, after: Head): AsyncIterable<Commit>;
}

interface Piece {
  readonly commits: readonly Commit[];
  readonly weight: number;
  /** Whether the log may have more behind it. */
  readonly more: boolean;
}
interface Kept {
  readonly key: string;
  /** The revisions that it is behind and that it ends with, the last once it is read. */
  readonly behind: number;
  to: number;
  weight: number;
  /** Counts calls and reads, so that a read is known to have begun after a call. */
  readonly began: number;
  readonly piece: Promise<Piece>;
}

/** Reads of one conversation at once: more, and none would get its batch in time. */
const readers_max = 2;
/** What a commit weighs beside its text, in characters. */
const commit_weight = 500;
/** Readers that go on in one turn of the loop, so that nobody else waits for a whole crowd. */
const steps_max = 8;

export class Replays {
  /** The frames that are made of it. */
  readonly json = new SharedJson();
  readonly #log: LogPort;
  /** The one that was used longest ago comes first. */
  readonly #kept = new Set<Kept>();
  #weight = 0;
  #counted = 0;
  /** Reads of each conversation, and those that wait for one of them to end. */
  readonly #reading = new Map<string, { count: number; readonly waiting: (() => void)[] }>();
  #line: (() => void)[] = [];

  constructor(log: LogPort) {
    this.#log = log;
  }

  /** The conversation's commits behind `base`, in order, at least what the leader held at the call. */
  async *read(ref: ActorRef, base: Head): AsyncGenerator<Commit> {
    const key = refKey(ref);
    const asked = ++this.#counted;
    let head = base;
    for (;;) {
      const kept = this.#find(key, head.revision) ?? this.#load(ref, head);
      const { commits, more } = await kept.piece;
      await this.turn();
      for (const commit of commits) {
        if (commit.revision <= head.revision) continue;
        yield commit;
        head = headOf(commit);
      }
      if (!more && kept.began > asked) return;
    }
  }

  /** Resolves when it is this reader's turn: a few in each turn of the loop, in the order they came. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#line.push(resolve);
      if (this.#line.length === 1) setImmediate(() => this.#step());
    });
  }

  /** Keeps nothing of a conversation: its room is closed, or its content is erased. */
  forget(ref: ActorRef): void {
    const key = refKey(ref);
    for (const kept of this.#kept) if (kept.key === key) this.#drop(kept);
    this.json.forget(ref);
  }

  #step(): void {
    for (const go of this.#line.splice(0, steps_max)) go();
    if (this.#line.length > 0) setImmediate(() => this.#step());
  }

  #find(key: string, revision: number): Kept | undefined {
    for (const kept of this.#kept) {
      if (kept.key !== key || revision < kept.behind) continue;
      if (revision !== kept.behind && revision >= kept.to) continue;
      this.#kept.delete(kept);
      this.#kept.add(kept);
      return kept;
    }
    return undefined;
  }

  #load(ref: ActorRef, head: Head): Kept {
    const piece = this.#gather(ref, head);
    const behind = head.revision;
    const place = { behind, to: behind, weight: 0, began: ++this.#counted };
    const kept: Kept = { key: refKey(ref), ...place, piece };
    this.#kept.add(kept);
    piece.then(
      ({ commits, weight, more }) => {
        const last = commits.at(-1);
        if (!more || last === undefined) return this.#drop(kept);
        // Forgotten meanwhile, it is only for those who wait for it.
        if (!this.#kept.has(kept)) return;
        kept.to = lastRevision(last);
        kept.weight = weight;
        this.#weight += weight;
        for (const oldest of this.#kept) {
          if (this.#weight <= limits.replays_chars_max) break;
          if (oldest.weight > 0) this.#drop(oldest);
        }
      },
      () => this.#drop(kept),
    );
    return kept;
  }

  #drop(kept: Kept): void {
    if (this.#kept.delete(kept)) this.#weight -= kept.weight;
  }

  async #gather(ref: ActorRef, head: Head): Promise<Piece> {
    const leave = await this.#enter(refKey(ref));
    try {
      const commits: Commit[] = [];
      let weight = 0;
      for await (const commit of this.#log.read(ref, head)) {
        commits.push(commit);
        weight += commit_weight + charsOf(commit);
        if (weight >= limits.replay_piece_chars) return { commits, weight, more: true };
      }
      return { commits, weight, more: false };
    } finally {
      leave();
    }
  }

  async #enter(key: string): Promise<() => void> {
    const reading = this.#reading.get(key) ?? { count: 0, waiting: [] };
    this.#reading.set(key, reading);
    if (reading.count < readers_max) reading.count++;
    else await new Promise<void>((resolve) => reading.waiting.push(resolve));
    return () => {
      const next = reading.waiting.shift();
      // Its place goes to whoever waits.
      if (next !== undefined) return next();
      reading.count--;
      if (reading.count === 0) this.#reading.delete(key);
    };
  }
}
