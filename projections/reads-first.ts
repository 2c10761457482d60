/**
 * The order in which one connection is used, where there is only one (PGlite). A batch of commits is a
 * transaction for every read model it concerns; in the order of their asking a read would stand behind
 * all of them. So reads go first, but no more than a few in a row while a transaction waits: read models
 * fall behind a little for it, and never stand still (I9).
 */

type Start = () => void;

/** Reads that go before a transaction that waits. Each takes a millisecond or two there. */
const reads_in_a_row_max = 4;

export class ReadsFirst {
  readonly #reads: Start[] = [];
  readonly #transactions: Start[] = [];
  #busy = false;
  /** Reads that went before the transaction that waits longest. */
  #in_a_row = 0;

  /** What waits, of both. */
  get waiting(): number {
    return this.#reads.length + this.#transactions.length;
  }

  /** Resolves when it may begin; the result is called once, at its end. */
  enter(what: "read" | "transaction"): Promise<() => void> {
    return new Promise((resolve) => {
      const queue = what === "read" ? this.#reads : this.#transactions;
      queue.push(() => resolve(() => this.#leave()));
      if (!this.#busy) this.#next();
    });
  }

  #leave(): void {
    this.#busy = false;
    this.#next();
  }

  #next(): void {
    const last = this.#in_a_row >= reads_in_a_row_max && this.#transactions.length > 0;
    const read = last ? undefined : this.#reads.shift();
    const start = read ?? this.#transactions.shift();
    if (start === undefined) return;
    this.#in_a_row = read !== undefined && this.#transactions.length > 0 ? this.#in_a_row + 1 : 0;
    this.#busy = true;
    start();
  }
}
