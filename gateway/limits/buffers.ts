/**
 * What lies in the socket buffers of this gateway, those of streams over HTTP included, all together,
 * and how much of it one socket may have (I11). The more there is, the sooner a socket counts as slow:
 * its watermark sinks from `socket_watermark_bytes` to nothing at `socket_buffers_bytes_max`. A socket
 * with an empty buffer is always written to, so whoever reads is served, and who does not is a lagging
 * cursor. So the sum stays below that maximum and one frame for each socket, beside answers: those are
 * sent whatever the watermark says, and who asks without reading is closed.
 */
import { limits } from "../../schemas/limits.ts";

/** What one socket has in its buffer. */
export interface Share {
  /** Tells how much it is now, in bytes. */
  is(bytes: number): void;
  /** False past the watermark. */
  readonly writable: boolean;
  /** Whether so much of it was read that it is worth to go on: each time costs a look at the log. */
  readonly drained: boolean;
  /** Counts an answer; false when too many lie unread. */
  answered(bytes: number): boolean;
  /** Counts its lagging cursors. */
  lagging(change: 1 | -1): void;
  end(): void;
}

/** Below this part of the maximum every socket has its whole watermark. */
const easy_part = 0.5;
/** A slow socket is written to again when it holds no more than this part of its watermark. */
const drained_part = 0.5;

export class Buffers {
  readonly #most: number;
  #bytes = 0;
  #lagging = 0;

  constructor(most: number = limits.socket_buffers_bytes_max) {
    this.#most = most;
  }

  /** Bytes that lie in all socket buffers, as they were when last looked at. */
  get bytes(): number {
    return this.#bytes;
  }
  /** Subscriptions that wait for their socket. */
  get laggingCursors(): number {
    return this.#lagging;
  }

  get watermark(): number {
    const left = (this.#most - this.#bytes) / (this.#most * (1 - easy_part));
    return limits.socket_watermark_bytes * Math.min(1, Math.max(0, left));
  }

  /** Counts a lagging cursor that is no WebSocket's. */
  lags(change: 1 | -1): void {
    this.#lagging += change;
  }

  open(): Share {
    const more = (bytes: number): void => void (this.#bytes += bytes);
    const lags = (change: number): void => void (this.#lagging += change);
    const room = (): number => this.watermark;
    const isFull = (): boolean => this.#bytes > this.#most;
    let mine = 0;
    let answers = 0;
    let lagging = 0;
    const is = (bytes: number): void => {
      more(bytes - mine);
      mine = bytes;
      // What was answered has been read.
      if (bytes === 0) answers = 0;
    };
    return {
      is,
      get writable() {
        return mine === 0 || mine < room();
      },
      get drained() {
        return mine <= room() * drained_part;
      },
      answered(bytes) {
        if (mine === 0) answers = 0;
        else answers += bytes;
        return (
          answers <= (isFull() ? limits.answers_unread_bytes_tight : limits.answers_unread_bytes)
        );
      },
      lagging(change) {
        lagging += change;
        lags(change);
      },
      end() {
        is(0);
        lags(-lagging);
        lagging = 0;
      },
    };
  }
}
