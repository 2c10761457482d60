/**
 * Turns whose stream a reader lost before its end, by the reader's doing or ours. Who then comes back
 * lacks the end of that answer, also when nothing is written any more; whoever never lost a stream
 * lacks nothing. Known to this gateway only and forgotten by time and number (I11): a page that wants
 * to be certain says what it has (docs/CLIENTS.md).
 */
import type { Clock } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import type { Identity } from "../auth/identity.ts";

const keyOf = (who: Identity, turn: string): string => `${who.tenant} ${who.user} ${turn}`;

export class CutStreams {
  readonly #clock: Clock;
  /** Reader and turn → when it is forgotten, oldest first. */
  readonly #cut = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  remember(who: Identity, turn: string): void {
    const key = keyOf(who, turn);
    this.#cut.delete(key);
    this.#cut.set(key, this.#clock.now() + limits.stream_cut_ms);
    for (const [oldest, until] of this.#cut) {
      if (this.#cut.size <= limits.streams_cut_max && until > this.#clock.now()) break;
      this.#cut.delete(oldest);
    }
  }

  /** The reader has the answer. */
  forget(who: Identity, turn: string): void {
    this.#cut.delete(keyOf(who, turn));
  }

  has(who: Identity, turn: string): boolean {
    return (this.#cut.get(keyOf(who, turn)) ?? 0) > this.#clock.now();
  }
}
