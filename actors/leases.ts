/**
 * The messages that an actor holds open, by their place in the queue: the commands of its running
 * and its waiting turns. One that is delivered again replaces its own handle; the same command sent
 * twice is two messages, and both are held.
 */
import type { Delivery } from "./ports.ts";

export class Leases {
  readonly #held = new Map<number, Delivery>();
  readonly #count: (partition: number, change: number) => void;

  /** `count` is told how many more are held in a partition. */
  constructor(count: (partition: number, change: number) => void) {
    this.#count = count;
  }

  get size(): number {
    return this.#held.size;
  }

  held(): Iterable<Delivery> {
    return this.#held.values();
  }

  hold(delivery: Delivery): void {
    if (!this.#held.has(delivery.sequence)) this.#count(delivery.partition, 1);
    this.#held.set(delivery.sequence, delivery);
  }

  /** Acknowledges those whose turn is over. */
  release(over: (command: string) => boolean): void {
    for (const [sequence, delivery] of this.#held) {
      if (!over(delivery.id)) continue;
      this.#drop(sequence, delivery);
      delivery.ack();
    }
  }

  /** Forgets them all without a word to the queue. */
  leave(): void {
    for (const [sequence, delivery] of this.#held) this.#drop(sequence, delivery);
  }

  #drop(sequence: number, delivery: Delivery): void {
    this.#held.delete(sequence);
    this.#count(delivery.partition, -1);
  }
}
