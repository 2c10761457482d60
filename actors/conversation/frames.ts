/**
 * Turns an answer's deltas into token frames: the first text at once, then what gathers in
 * `flush_ms`; never split inside a surrogate pair, never beyond `token_frame_chars_max`. It keeps
 * what it published, since the event that ends the turn must be exactly that (I5). While it is held
 * it publishes nothing, so that an ending can be decided on what everybody has seen.
 */
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import type { Published } from "../ports.ts";

export type Hold = "ending" | "checkpoint";

/** A part of what was published, as a checkpoint keeps it. */
export interface Part extends Published {
  /** The seq of its first frame. */
  readonly first: number;
}

export class FrameWriter {
  readonly #turn: string;
  readonly #attempt: number;
  readonly #clock: Clock;
  readonly #publish: (frame: TokenFrame) => void;
  #pending = "";
  #text = "";
  readonly #lengths: number[] = [];
  readonly #times: number[] = [];
  #before_ms: number;
  /** Who holds it: an ending that is being decided, a checkpoint that is not stored yet. */
  readonly #holds = new Set<Hold>();
  #cancel: (() => void) | null = null;
  /** What the last checkpoint reached. */
  #checked_chars = 0;
  #checked_seq = 0;

  constructor(
    attempt: { readonly turn: string; readonly attempt: number },
    clock: Clock,
    publish: (frame: TokenFrame) => void,
  ) {
    this.#turn = attempt.turn;
    this.#attempt = attempt.attempt;
    this.#clock = clock;
    this.#publish = publish;
    this.#before_ms = clock.now();
  }

  get chars(): number {
    return this.#text.length + this.#pending.length;
  }

  /** UTF-16 units published since the last checkpoint. */
  get unchecked_chars(): number {
    return this.#text.length - this.#checked_chars;
  }

  write(text: string): void {
    this.#pending += text;
    if (this.#holds.size > 0 || this.#cancel !== null) return;
    if (this.#lengths.length === 0) this.#flush(false);
    else this.#later();
  }

  /** Publishes all that is left; the answer has ended. */
  end(): void {
    this.#stopTimer();
    if (this.#holds.size === 0) this.#flush(true);
  }

  hold(by: Hold): void {
    this.#holds.add(by);
    this.#stopTimer();
  }

  release(by: Hold): void {
    this.#holds.delete(by);
    if (this.#holds.size === 0) this.#flush(false);
  }

  /** Drops what was not published. */
  stop(): void {
    this.hold("ending");
    this.#pending = "";
  }

  published(): Published {
    const frames = { lengths: [...this.#lengths], times: [...this.#times] };
    return { text: this.#text, seq: this.#lengths.length, frames };
  }

  /** What was published since the last checkpoint, which this now is; null when nothing was. */
  checkpoint(): Part | null {
    const from = this.#checked_seq;
    const seq = this.#lengths.length;
    if (seq === from) return null;
    const text = this.#text.slice(this.#checked_chars);
    this.#checked_chars = this.#text.length;
    this.#checked_seq = seq;
    const frames = { lengths: this.#lengths.slice(from), times: this.#times.slice(from) };
    return { first: from + 1, seq, text, frames };
  }

  #later(): void {
    this.#cancel = this.#clock.after(limits.flush_ms, () => {
      this.#cancel = null;
      this.#flush(false);
    });
  }

  #stopTimer(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #flush(last: boolean): void {
    while (this.#pending !== "") {
      const text = this.#pending.slice(0, frameEnd(this.#pending, last));
      if (text === "") return;
      this.#pending = this.#pending.slice(text.length);
      const now_ms = this.#clock.now();
      this.#text += text;
      this.#lengths.push(text.length);
      this.#times.push(Math.max(0, Math.round(now_ms - this.#before_ms)));
      this.#before_ms = now_ms;
      this.#publish({ t: this.#turn, a: this.#attempt, s: this.#lengths.length, d: text });
    }
  }
}

/** Where a frame of `text` ends: a high surrogate waits for its other half, unless none can come. */
function frameEnd(text: string, last: boolean): number {
  const end = Math.min(text.length, limits.token_frame_chars_max);
  if (last && end === text.length) return end;
  const unit = text.charCodeAt(end - 1);
  return unit >= 0xd800 && unit <= 0xdbff ? end - 1 : end;
}
