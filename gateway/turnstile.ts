/** Lets only so many do something costly at once, of all and of one tenant or address (I10, I11). */
import { AppError, type ErrorCode } from "../schemas/errors.ts";

export class Turnstile {
  readonly #all_max: number;
  readonly #each_max: number;
  readonly #busy: ErrorCode;
  readonly #inside = new Map<string, number>();
  #all = 0;

  /** `busy`: what is said to whoever has as many inside as one may. */
  constructor(all_max: number, each_max: number, busy: ErrorCode = "tenant_busy") {
    this.#all_max = all_max;
    this.#each_max = each_max;
    this.#busy = busy;
  }

  /** Enters; the result leaves and is called once. Throws `busy` for its own doing, else `overloaded`. */
  enter(who: string): () => void {
    const inside = this.#inside.get(who) ?? 0;
    if (inside >= this.#each_max) {
      throw new AppError(this.#busy, "Too many of these are being answered for you; try again.");
    }
    if (this.#all >= this.#all_max) {
      throw new AppError("overloaded", "Too many of these are being answered; try again.");
    }
    this.#all += 1;
    this.#inside.set(who, inside + 1);
    return () => {
      this.#all -= 1;
      const left = (this.#inside.get(who) ?? 1) - 1;
      if (left === 0) this.#inside.delete(who);
      else this.#inside.set(who, left);
    };
  }
}
