/**
 * Keeps one tenant's work from standing before another's (I10). What is asked of a server that takes
 * work in its order (the log, a database) is already late when it stands behind much of somebody
 * else's, so little is handed on at a time while several tenants are there: the rest waits here, one
 * tenant after the other. A tenant with nothing under way is never kept waiting. Alone, a tenant is
 * not held back at all.
 *
 * How little is measured: it grows by one a round while answers take less than twice what the
 * quickest of late took, and shrinks by a third when they take longer (the way TCP finds its window).
 */
import { AppError } from "../schemas/errors.ts";
import type { Clock } from "../schemas/ids.ts";

interface Tenant {
  running: number;
  readonly waiting: Job[];
  /** When it last asked for anything. */
  seen_ms: number;
}
type Job = (leave: () => void) => void;

/** A tenant that has asked for nothing this long is not there. */
const present_ms = 10_000;
const sweep_ms = 1_000;
/** The quickest answer counts for one to two of these, so that a machine that slowed down is known. */
const quickest_ms = 30_000;
const width_first = 8;
const width_max = 64;
/** So much over twice the quickest is the clock's own grain. */
const grain_ms = 1;

export class FairQueue {
  readonly #clock: Pick<Clock, "now">;
  readonly #waiting_max: number;
  /** In the order in which they are served next. */
  readonly #tenants = new Map<string, Tenant>();
  #running = 0;
  #waiting = 0;
  #present = 0;
  #swept_ms = 0;
  #width = width_first;
  #shrunk_ms = 0;
  #quickest = { since_ms: 0, before: Number.POSITIVE_INFINITY, now: Number.POSITIVE_INFINITY };

  /** `waiting_max`: of one tenant. */
  constructor(clock: Pick<Clock, "now">, waiting_max: number) {
    this.#clock = clock;
    this.#waiting_max = waiting_max;
  }

  /** Jobs that wait for their turn. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Starts `job` at once or when it is this tenant's turn; it calls `leave` once, when it is done.
   * Throws `tenant_busy` when as many of this tenant wait as may.
   */
  enter(name: string, job: Job): void {
    const now = this.#clock.now();
    const tenant = this.#tenants.get(name) ?? { running: 0, waiting: [], seen_ms: 0 };
    if (tenant.waiting.length >= this.#waiting_max) {
      throw new AppError("tenant_busy", "Too much of this tenant waits already; try again.");
    }
    tenant.seen_ms = now;
    if (!this.#tenants.has(name)) {
      this.#tenants.set(name, tenant);
      this.#present++;
    }
    if (now - this.#swept_ms >= sweep_ms) this.#sweep(now);
    if (tenant.waiting.length === 0 && this.#mayStart(tenant)) return this.#start(tenant, job);
    tenant.waiting.push(job);
    this.#waiting++;
  }

  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const leave = await new Promise<() => void>((resolve) => this.enter(name, resolve));
    try {
      return await work();
    } finally {
      leave();
    }
  }

  #mayStart(tenant: Tenant): boolean {
    return tenant.running === 0 || this.#present < 2 || this.#running < Math.floor(this.#width);
  }

  #start(tenant: Tenant, job: Job): void {
    const began = this.#clock.now();
    tenant.running++;
    this.#running++;
    let left = false;
    job(() => {
      if (left) return;
      left = true;
      tenant.running--;
      this.#running--;
      this.#measure(this.#clock.now() - began);
      this.#next();
    });
  }

  /** Starts what may start, one of each tenant in turn. */
  #next(): void {
    while (this.#waiting > 0) {
      const found = this.#waitingTenant();
      if (found === null) return;
      const [name, tenant] = found;
      this.#tenants.delete(name);
      this.#tenants.set(name, tenant);
      const job = tenant.waiting.shift();
      if (job === undefined) return;
      this.#waiting--;
      this.#start(tenant, job);
    }
  }

  #waitingTenant(): [string, Tenant] | null {
    for (const entry of this.#tenants) {
      if (entry[1].waiting.length > 0 && this.#mayStart(entry[1])) return entry;
    }
    return null;
  }

  #measure(took_ms: number): void {
    const now = this.#clock.now();
    const quickest = this.#quickest;
    if (now - quickest.since_ms >= quickest_ms) {
      this.#quickest = { since_ms: now, before: quickest.now, now: took_ms };
    }
    this.#quickest.now = Math.min(this.#quickest.now, took_ms);
    if (this.#present < 2) return;
    const least = Math.min(this.#quickest.now, this.#quickest.before);
    if (took_ms <= 2 * least + grain_ms) {
      this.#width = Math.min(width_max, this.#width + 1 / this.#width);
    } else if (now - this.#shrunk_ms >= took_ms) {
      // Once for all that were under way together.
      this.#shrunk_ms = now;
      this.#width = Math.max(1, (this.#width * 2) / 3);
    }
  }

  #sweep(now: number): void {
    this.#swept_ms = now;
    for (const [name, { running, waiting, seen_ms }] of this.#tenants) {
      if (running > 0 || waiting.length > 0 || now - seen_ms < present_ms) continue;
      this.#tenants.delete(name);
      this.#present--;
    }
  }
}
