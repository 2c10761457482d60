/**
 * What the simulated server has stored: the log, the frames, the snapshots. What a real log refuses
 * is refused here, and what can be seen to be wrong at once is noted as a violation.
 */
import { createHash } from "node:crypto";
import type { Appended, Published, Snapshot } from "../../actors/ports.ts";
import {
  type Commit,
  type CommitDraft,
  empty_head,
  type Head,
  headOf,
} from "../../schemas/commit.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";

export interface StoredFrame extends TokenFrame {
  readonly worker: string;
  /** Lost on its way to the memory stream, though live readers have seen it. */
  readonly lost: boolean;
}

export interface Stored {
  readonly violations: string[];
  readonly snapshots: readonly { readonly ref: ActorRef; readonly snapshot: Snapshot }[];
  commits(ref: ActorRef): readonly Commit[];
  refs(): readonly ActorRef[];
  frames(ref: ActorRef, turn: string, attempt: number): readonly StoredFrame[];
  append(draft: CommitDraft, head: Head): Appended;
  /** Told of what somebody tries to append. */
  asked(draft: CommitDraft): void;
  end(ref: ActorRef): Head;
  /** Commits behind a head; throws when the log does not go on from there. */
  read(ref: ActorRef, after: Head): readonly Commit[];
  publish(ref: ActorRef, frame: StoredFrame): void;
  published(
    ref: ActorRef,
    turn: string,
    attempt: number,
    checkpoints: readonly number[],
  ): Published;
  save(ref: ActorRef, snapshot: Snapshot): void;
  /** One that was stored some time, as a replica that lags may have it. */
  snapshotsOf(ref: ActorRef): readonly Snapshot[];
}

/** The longest delta that the simulated provider sends. */
export const delta_chars_max = 4_000;
/** What may gather behind a checkpoint that is on its way; a frame holds two deltas at most. */
const ahead_chars_max = limits.checkpoint_chars_max + 2 * delta_chars_max;

export function createStored(): Stored {
  const lines = new Map<string, Commit[]>();
  const refs: ActorRef[] = [];
  const frames = new Map<string, StoredFrame[]>();
  const snapshots: { ref: ActorRef; snapshot: Snapshot }[] = [];
  const violations: string[] = [];
  /** The last frame of the checkpoint that is on its way, by attempt. */
  const checkpoints = new Map<string, number>();
  let sequence = 0;

  const commits = (ref: ActorRef): readonly Commit[] => lines.get(refKey(ref)) ?? [];
  const attemptKey = (ref: ActorRef, turn: string, attempt: number): string =>
    `${refKey(ref)} ${turn} ${attempt}`;
  const framesOf = (ref: ActorRef, turn: string, attempt: number): readonly StoredFrame[] =>
    frames.get(attemptKey(ref, turn, attempt)) ?? [];
  const endOf = (ref: ActorRef): Head => {
    const last = commits(ref).at(-1);
    return last === undefined ? empty_head : headOf(last);
  };

  return {
    violations,
    snapshots,
    commits,
    refs: () => refs,
    frames: framesOf,
    append(draft, head) {
      const { ref } = draft;
      const end = endOf(ref);
      if (end.sequence !== head.sequence) return { ok: false };
      const place = { revision: end.revision + 1, sequence: ++sequence, prev: end.hash };
      const hash = createHash("sha256")
        .update(JSON.stringify([draft, place]))
        .digest("hex");
      const commit: Commit = { ...draft, ...place, hash, erased: false };
      const line = lines.get(refKey(ref)) ?? [];
      if (line.length === 0) {
        lines.set(refKey(ref), line);
        refs.push(ref);
      }
      line.push(commit);
      return { ok: true, head: headOf(commit) };
    },
    end: endOf,
    read(ref, after) {
      const line = commits(ref);
      if (endOf(ref).sequence < after.sequence) throw new Error("the log ends before it");
      const tail = line.filter((commit) => commit.sequence > after.sequence);
      const prev = tail[0]?.prev ?? endOf(ref).hash;
      if (prev !== after.hash) throw new Error("the log does not go on from there");
      return tail;
    },
    publish(ref, frame) {
      const { t: turn, a: attempt, s, worker } = frame;
      const key = attemptKey(ref, turn, attempt);
      const before = frames.get(key) ?? [];
      frames.set(key, before);
      const events = commits(ref).flatMap((commit) => commit.events);
      const begun = events.some(
        ({ type, data }) =>
          (type === "turn.started" || type === "turn.restarted") &&
          data.turn === turn &&
          data.attempt === attempt &&
          data.owner === worker,
      );
      if (!begun) violations.push(`I5: a frame of attempt ${attempt} before its start is stored`);
      if (s !== before.length + 1) violations.push(`I5: frame ${s} after ${before.length}`);
      before.push(frame);
      const sent = checkpoints.get(key);
      if (sent === undefined) return;
      const isStored = events.some(
        ({ type, data }) =>
          type === "turn.checkpointed" &&
          data.turn === turn &&
          data.attempt === attempt &&
          data.seq >= sent,
      );
      if (isStored) checkpoints.delete(key);
      const ahead = before.slice(sent).reduce((sum, { d }) => sum + d.length, 0);
      if (isStored || ahead <= ahead_chars_max) return;
      violations.push(`I5: ${ahead} characters ahead of a checkpoint`);
    },
    asked({ ref, events }) {
      for (const { type, data } of events) {
        if (type !== "turn.checkpointed") continue;
        checkpoints.set(attemptKey(ref, data.turn, data.attempt), data.seq);
      }
    },
    published(ref, turn, attempt, checkpoints) {
      let text = "";
      let seq = 0;
      const lengths: number[] = [];
      for (const commit of commits(ref)) {
        if (!checkpoints.includes(commit.sequence)) continue;
        for (const { type, data } of commit.events) {
          if (type !== "turn.checkpointed") continue;
          text += data.text;
          seq = data.seq;
          lengths.push(...data.frames.lengths);
        }
      }
      for (const { s, d, lost } of framesOf(ref, turn, attempt)) {
        if (s <= seq) continue;
        if (lost) break;
        text += d;
        seq = s;
        lengths.push(d.length);
      }
      return { text, seq, frames: { lengths, times: lengths.map(() => 0) } };
    },
    save(ref, snapshot) {
      // As JSON: what a snapshot loses on its way is lost here, too.
      const kept = JSON.parse(JSON.stringify(snapshot)) as Snapshot;
      snapshots.push({ ref, snapshot: kept });
    },
    snapshotsOf: (ref) =>
      snapshots.filter((one) => refKey(one.ref) === refKey(ref)).map(({ snapshot }) => snapshot),
  };
}
