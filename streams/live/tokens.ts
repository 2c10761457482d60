/**
 * Live tokens on `tok.…`: published with core NATS, so that nobody waits for them, and kept for an
 * hour in the memory stream TOKENS. A lost frame is filled from the log, so nothing here retries.
 */
import type { Commit } from "../../schemas/commit.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { tokenSubject } from "../../schemas/subjects.ts";
import { isTokenFrame, type TokenFrame, type FrameRecord } from "../../schemas/tokens.ts";
import { parseJson } from "../../schemas/validate.ts";
import { readBatch } from "../log/batches.ts";
import type { Streams } from "../connection.ts";
import { unavailable } from "../faults.ts";
import { follow, type Following, type OnProblem } from "./following.ts";
import type { Log } from "../log/log.ts";
import { tokens_stream } from "../topology.ts";

/** What a turn's attempt has published so far. */
export interface Published {
  readonly text: string;
  /** The last frame's seq; 0 when there is none. */
  readonly seq: number;
  readonly frames: FrameRecord;
}

export interface Tokens {
  /** Publishes one frame; returns at once, and a lost frame is filled from the log. */
  publish(ref: ActorRef, frame: TokenFrame): void;
  /**
   * What is known of an attempt: the text of its checkpoints (the EVENTS sequences given) and the
   * contiguous frames behind them that TOKENS still holds. Throws `AppError("unavailable")`.
   */
  published(
    ref: ActorRef,
    turn: string,
    attempt: number,
    checkpoints: readonly number[],
  ): Promise<Published>;
}

export function tokenPort(streams: Streams, log: Pick<Log, "at">): Tokens {
  return {
    publish(ref, frame) {
      if (streams.nc.isClosed()) return;
      streams.nc.publish(tokenSubject(ref), JSON.stringify(frame));
    },
    async published(ref, turn, attempt, checkpoints) {
      const commits = await Promise.all(checkpoints.map((sequence) => log.at(sequence)));
      const logged = foldCheckpoints(commits, turn, attempt);
      // The frame before is read along: the first one behind it is timed by it.
      const behind = await readFrames(streams, ref, turn, attempt, logged.seq - 1);
      return continued(logged, behind);
    },
  };
}

function foldCheckpoints(
  commits: readonly (Commit | null)[],
  turn: string,
  attempt: number,
): Published {
  let text = "";
  let seq = 0;
  const lengths: number[] = [];
  const times: number[] = [];
  for (const { type, data } of commits.flatMap((commit) => commit?.events ?? [])) {
    if (type !== "turn.checkpointed" || data.turn !== turn || data.attempt !== attempt) continue;
    text += data.text;
    seq = data.seq;
    lengths.push(...data.frames.lengths);
    times.push(...data.frames.times);
  }
  return { text, seq, frames: { lengths, times } };
}

/** `logged` and the frames that follow it without a gap. */
function continued(logged: Published, behind: readonly StoredFrame[]): Published {
  let { text, seq } = logged;
  const lengths = [...logged.frames.lengths];
  const times = [...logged.frames.times];
  let before_ms: number | null = null;
  for (const { frame, at_ms } of behind) {
    if (frame.s === seq + 1) {
      text += frame.d;
      seq = frame.s;
      lengths.push(frame.d.length);
      times.push(before_ms === null ? 0 : Math.max(0, Math.round(at_ms - before_ms)));
    } else if (frame.s > seq) break;
    before_ms = at_ms;
  }
  return { text, seq, frames: { lengths, times } };
}

/** Follows the frames of a conversation, of all its turns and attempts. */
export const followTokens = (
  streams: Streams,
  ref: ActorRef,
  onFrame: (frame: TokenFrame) => void,
  onProblem?: OnProblem,
): Following =>
  follow(
    streams,
    tokenSubject(ref),
    (message) => {
      const frame = frameOf(message.data);
      if (frame === null) throw new Error(`${message.subject} is not a token frame`);
      onFrame(frame);
    },
    onProblem,
  );

/**
 * The frames of an attempt behind `after` that TOKENS still holds, sorted, maybe with gaps. A frame
 * that was just delivered may not be stored yet. Throws `AppError("unavailable")`.
 */
export async function replayTokens(
  streams: Streams,
  ref: ActorRef,
  turn: string,
  attempt: number,
  after: number,
): Promise<TokenFrame[]> {
  return (await readFrames(streams, ref, turn, attempt, after)).map(({ frame }) => frame);
}

interface StoredFrame {
  readonly frame: TokenFrame;
  readonly at_ms: number;
}

/** What the clocks of a worker and of the server may differ by. */
const skew_ms = 60_000;

async function readFrames(
  streams: Streams,
  ref: ActorRef,
  turn: string,
  attempt: number,
  after: number,
): Promise<StoredFrame[]> {
  const subject = tokenSubject(ref);
  const frames = new Map<number, StoredFrame>();
  let from: { seq: number } | { start_time: Date } = since(turn);
  try {
    for (;;) {
      const { messages, more } = await readBatch(streams, tokens_stream, subject, from);
      for (const { data, time } of messages) {
        const frame = frameOf(data);
        if (frame?.t !== turn || frame.a !== attempt || frame.s <= after) continue;
        frames.set(frame.s, { frame, at_ms: time.getTime() });
      }
      const last = messages.at(-1);
      if (last === undefined || !more) break;
      from = { seq: last.seq + 1 };
    }
  } catch (cause) {
    throw unavailable("Live tokens cannot be read", cause);
  }
  return [...frames.values()].sort((one, other) => one.frame.s - other.frame.s);
}

/** A UUIDv7 says when its turn was made, and no frame is older: earlier turns need not be read. */
function since(turn: string): { seq: number } | { start_time: Date } {
  if (turn[14] !== "7") return { seq: 1 };
  const made_ms = Number.parseInt(turn.slice(0, 8) + turn.slice(9, 13), 16);
  return { start_time: new Date(Math.min(made_ms, Date.now()) - skew_ms) };
}

function frameOf(data: Uint8Array): TokenFrame | null {
  const value = parseJson(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString());
  return isTokenFrame(value) ? value : null;
}
