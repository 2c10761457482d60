/**
 * A bounded memory of what was used of late. Two maps in turn: when the young one is full, it becomes
 * the old one, and what nobody has asked for since it was young before is forgotten. An exact order of
 * use would take a delete and an insert for every look, three times as long (measured).
 */
export class Recent<T> {
  readonly #half: number;
  #young = new Map<string, T>();
  #old = new Map<string, T>();

  /** Holds `most` at most, and at least the latest half of them. */
  constructor(most: number) {
    this.#half = Math.max(1, Math.floor(most / 2));
  }

  get(name: string): T | undefined {
    const young = this.#young.get(name);
    if (young !== undefined) return young;
    const old = this.#old.get(name);
    if (old !== undefined) this.set(name, old);
    return old;
  }

  set(name: string, value: T): void {
    if (this.#young.size >= this.#half && !this.#young.has(name)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(name, value);
  }
}
