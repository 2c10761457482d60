/** Lets only so many do something costly at once, of all and of one tenant (I10, I11). */
import { AppError } from "../schemas/errors.ts";

export class Turnstile {
  readonly #all_max: number;
  readonly #each_max: number;
  readonly #inside = new Map<string, number>();
  #all = 0;

  constructor(all_max: number, each_max: number) {
    this.#all_max = all_max;
    this.#each_max = each_max;
  }

  /**
   * Enters; the result leaves and is called once. Throws `tenant_busy` when it is the tenant's own
   * doing, else `overloaded`.
   */
  enter(tenant: string): () => void {
    const inside = this.#inside.get(tenant) ?? 0;
    if (inside >= this.#each_max) {
      const why = "Too many of these are being answered for this tenant; try again.";
      throw new AppError("tenant_busy", why);
    }
    if (this.#all >= this.#all_max) {
      throw new AppError("overloaded", "Too many of these are being answered; try again.");
    }
    this.#all += 1;
    this.#inside.set(tenant, inside + 1);
    return () => {
      this.#all -= 1;
      const left = (this.#inside.get(tenant) ?? 1) - 1;
      if (left === 0) this.#inside.delete(tenant);
      else this.#inside.set(tenant, left);
    };
  }
}
