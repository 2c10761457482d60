/**
 * Read your writes: the highest EVENTS sequence that this gateway has acked or pushed, per
 * conversation, so that a read of it waits for that much. Bounded: the oldest are forgotten, which
 * costs a reader nothing but the wait (its own `X-Colloquy-Seq` still counts).
 */
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";

export class Sequences {
  readonly #highest = new Map<string, number>();

  saw(ref: ActorRef, sequence: number): void {
    const key = refKey(ref);
    if ((this.#highest.get(key) ?? 0) >= sequence) return;
    this.#highest.delete(key);
    this.#highest.set(key, sequence);
    if (this.#highest.size <= limits.access_cached_max) return;
    for (const oldest of this.#highest.keys()) {
      this.#highest.delete(oldest);
      break;
    }
  }

  of(ref: ActorRef): number {
    return this.#highest.get(refKey(ref)) ?? 0;
  }
}
