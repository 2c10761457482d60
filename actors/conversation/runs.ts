/**
 * The answers that are being written here, one per conversation. They are kept beside the actors, so
 * that one which must be loaded anew finds its own; and counted by tenant, so that none takes all (I10).
 */
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import type { Run } from "./effects.ts";

export interface Writing {
  readonly turn: string;
  readonly attempt: number;
  readonly run: Run;
}

export class Runs {
  readonly #byActor = new Map<string, Writing>();
  readonly #byTenant = new Map<string, number>();

  get size(): number {
    return this.#byActor.size;
  }

  of(tenant: string): number {
    return this.#byTenant.get(tenant) ?? 0;
  }

  get(ref: ActorRef): Writing | undefined {
    return this.#byActor.get(refKey(ref));
  }

  /** In the place of one that has ended. */
  add(ref: ActorRef, writing: Writing): void {
    this.stop(ref);
    this.#byActor.set(refKey(ref), writing);
    this.#count(ref.tenant, 1);
  }

  /** Stops what is written there, or only that very run. */
  stop(ref: ActorRef, only?: Run): void {
    const found = this.get(ref);
    if (found === undefined || (only !== undefined && found.run !== only)) return;
    found.run.stop();
    this.#byActor.delete(refKey(ref));
    this.#count(ref.tenant, -1);
  }

  #count(tenant: string, change: number): void {
    const count = this.of(tenant) + change;
    if (count === 0) this.#byTenant.delete(tenant);
    else this.#byTenant.set(tenant, count);
  }
}
