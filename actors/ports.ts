/**
 * What an actor's host needs of the world. No code of `actors/` awaits anything but these, reads a
 * clock, or makes an id by itself: that is what lets a simulator stand behind them.
 */
import type { NamedCommand, Reply, WorkerCommand } from "../schemas/commands.ts";
import type { Commit, CommitDraft, Head, LineEnd } from "../schemas/commit.ts";
import type { ErrorCode } from "../schemas/errors.ts";
import type { ActorRef, By, Clock, Ids } from "../schemas/ids.ts";
import type { Models } from "../schemas/models.ts";
import type { FrameRecord, TokenFrame } from "../schemas/tokens.ts";

/** `conflict`: another commit stands there; drop the state, reload, decide again. */
export type Appended = { ok: true; head: Head } | { ok: false };

export interface LogPort {
  /**
   * Appends one decision behind `head`. Resolves only when the outcome is known for certain (a
   * time-out is resolved by reading the subject's last message from the leader). Throws
   * `AppError("unavailable")` when the log cannot be reached.
   */
  append(draft: CommitDraft, head: Head): Promise<Appended>;
  /**
   * Where the actor's line ends, for a `read` that waits for something else first. `begins`: the
   * command in hand may be its first, so that what a first commit needs is made meanwhile, too.
   */
  end(ref: ActorRef, begins: boolean): Promise<LineEnd>;
  /**
   * The actor's commits behind `after`, in order, each checked against the hash of the one before.
   * Throws `BrokenChain` when they do not follow. `end` is asked for when it was not before.
   */
  read(ref: ActorRef, after: Head, end?: Promise<LineEnd>): AsyncIterable<Commit>;
}

/** A message of the path, by the sequence of the commit that holds its text. */
export interface TextRef {
  readonly message: string;
  readonly sequence: number;
}

export interface TextPort {
  /** The texts, in the order asked for; "" for one whose content was erased. */
  read(ref: ActorRef, texts: readonly TextRef[]): Promise<string[]>;
  /** Told of every commit that this worker appended, whose texts are read back soon. */
  remember(commit: Commit): void;
}

/** What a turn's attempt has published so far. */
export interface Published {
  readonly text: string;
  /** The last frame's seq; 0 when there is none. */
  readonly seq: number;
  readonly frames: FrameRecord;
}
export interface TokenPort {
  /** Publishes one frame; returns at once, and a lost frame is filled from the log. */
  publish(ref: ActorRef, frame: TokenFrame): void;
  /**
   * What is known of an attempt that another owner ran: the text of its checkpoints (the EVENTS
   * sequences given) and the contiguous frames behind them that the memory stream still holds.
   */
  published(
    ref: ActorRef,
    turn: string,
    attempt: number,
    checkpoints: readonly number[],
  ): Promise<Published>;
}

/** One attempt of one turn. */
export interface Attempt {
  readonly turn: string;
  readonly attempt: number;
}

export interface WorkerPort {
  /** This process's id; new at every start. */
  readonly id: string;
  /**
   * Whether a worker is gone for certain: no entry of it for one full TTL since our own entry was
   * last created. Never true of ourselves.
   */
  gone(worker: string): boolean;
  /** Calls back when a worker may have become gone; the result ends it. */
  changes(call: () => void): () => void;
  /** Asks a worker whether it runs an attempt, or is about to; null when it does not answer. */
  ask(worker: string, ref: ActorRef, attempt: Attempt): Promise<boolean | null>;
  /** What answers when others ask us; the result ends it. */
  answer(call: (ref: ActorRef, attempt: Attempt) => boolean): () => void;
}

export interface ContentPort {
  /** Erases the actor's content wherever it lies, for ever; no error when it is gone already. */
  erase(ref: ActorRef): Promise<void>;
}

export interface ReplyPort {
  /** Answers a command's sender; best effort. */
  answer(subject: string, reply: Reply): void;
}

/** An actor as it stood behind one of its stored commits. */
export interface Snapshot {
  readonly head: Head;
  /** What its kind made of it; plain JSON. */
  readonly state: unknown;
  /**
   * The commands it remembers, oldest first: of each its commit's last revision and sequence, and the
   * refusal that the commit itself was, if it was one.
   */
  readonly commits: readonly (readonly [
    command: string,
    revision: number,
    sequence: number,
    refusal?: ErrorCode,
  ])[];
}
/** Snapshots save time and nothing else: whatever is wrong with them, the log is read instead. */
export interface SnapshotPort {
  /** One that this very code has made; null when there is none. Never rejects. */
  load(ref: ActorRef): Promise<Snapshot | null>;
  /** Stores it some time; returns at once. */
  save(ref: ActorRef, snapshot: Snapshot): void;
}

/** Commands that come later, to whoever owns the actor then, whatever is restarted meanwhile. */
export interface TimerPort {
  /** At `at_ms` since 1970; one per key of an actor, a later one replaces it. Returns at once. */
  set(ref: ActorRef, key: string, at_ms: number, command: WorkerCommand): void;
}

/** Something that should be looked at by whoever runs this; never throws. */
export type Report = (problem: {
  readonly what: string;
  readonly ref?: ActorRef;
  readonly error?: unknown;
}) => void;

export interface Ports {
  readonly log: LogPort;
  readonly snapshots: SnapshotPort;
  readonly texts: TextPort;
  readonly tokens: TokenPort;
  readonly workers: WorkerPort;
  readonly content: ContentPort;
  readonly replies: ReplyPort;
  readonly timers: TimerPort;
  readonly models: Models;
  /** Whether no user's message may say this here; absent: everything may be said. */
  readonly disallows?: (text: string) => boolean;
  /** A conversation's title, made of its first message. */
  title(text: string): string;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly report: Report;
}

/**
 * One delivery of one command's message. Its handle dies with the pin of its partition: when the
 * queue says so, `host.lost(partition)` is called, and nobody touches its handles again.
 */
export interface Delivery {
  readonly ref: ActorRef;
  readonly id: string;
  readonly command: NamedCommand;
  readonly by: By;
  /** Its gateway says that the user may act on what integrations of the tenant began. */
  readonly manages?: boolean;
  readonly traceparent: string | null;
  /** Where the answer goes; null when nobody asked for one. */
  readonly reply: string | null;
  readonly partition: number;
  /** Its sequence in COMMANDS: the stored order. */
  readonly sequence: number;
  /** 1 at the first delivery. */
  readonly deliveries: number;
  /** Done: the message leaves the queue. */
  ack(): void;
  /** Still held: it is not delivered again for another `ack_wait_ms`. */
  working(): void;
  /** Given back, to be delivered again after `ms`. */
  nak(ms: number): void;
  /** To the dead letters with the reason; calls back when it lies there, and leaves the queue. */
  dead(code: ErrorCode, reason: string, buried?: () => void): void;
}

/** What the queue calls. */
export interface Inbox {
  /** Takes what arrived in one go; sorts it itself; never blocks and never throws. */
  deliver(deliveries: readonly Delivery[]): void;
  /** The partition is no longer ours: stop renewing, never touch its messages again. */
  lost(partition: number): void;
}
