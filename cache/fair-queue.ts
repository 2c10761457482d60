/**
 * Keeps one tenant's work from standing before another's (I10). What is asked of a server that takes
 * work in its order (the log, a database) is already late when it stands behind much of somebody
 * else's, so little is handed on at a time while several tenants are there (`pace.ts` says how little):
 * the rest waits here, one tenant after the other. A tenant with nothing under way and nothing waiting
 * is never kept waiting. Alone, a tenant is not held back at all; nor does the server rest where every
 * tenant that is there asks for too much.
 */
import { AppError } from "../schemas/errors.ts";
import type { Clock } from "../schemas/ids.ts";
import { Pace } from "./pace.ts";

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
/** So long one that is slow for reasons of its own, or never answered, holds the others up. */
const held_up_ms_max = 250;

export class FairQueue {
  readonly #clock: Clock;
  readonly #waiting_max: number;
  readonly #pace = new Pace();
  /** In the order in which they are served next. */
  readonly #tenants = new Map<string, Tenant>();
  #running = 0;
  #waiting = 0;
  #present = 0;
  /** Tenants of which something waits. */
  #backlogged = 0;
  #swept_ms = 0;
  /** Nothing that was held back begins before, while less than one at a time is handed on. */
  #rests_until_ms = 0;
  #cancelWaking: (() => void) | null = null;

  /** `waiting_max`: of one tenant. */
  constructor(clock: Clock, waiting_max: number) {
    this.#clock = clock;
    this.#waiting_max = waiting_max;
  }

  /** Jobs that wait for their turn. */
  get waiting(): number {
    return this.#waiting;
  }

  /**
   * Starts `job` at once or when it is this tenant's turn; it calls `leave` once, when it is done. The
   * result takes it out of the queue: false when it is not there any more.
   * Throws `tenant_busy` when as many of this tenant wait as may.
   */
  enter(name: string, job: Job): () => boolean {
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
    const first = tenant.running === 0;
    if (tenant.waiting.length === 0 && (first || this.#mayStart(tenant))) {
      this.#start(tenant, job, !first);
      return () => false;
    }
    if (tenant.waiting.push(job) === 1) this.#backlogged++;
    this.#waiting++;
    this.#pace.contended(now);
    if (this.#cancelWaking === null) this.#wakeLater();
    return () => this.#withdraw(tenant, job);
  }

  /**
   * Does `work` when it is this tenant's turn. Throws `tenant_busy` when as many of this tenant wait as
   * may, and when its turn has not come within `waiting_ms_max`.
   */
  async run<T>(name: string, work: () => Promise<T>, waiting_ms_max: number): Promise<T> {
    const leave = await new Promise<() => void>((resolve, reject) => {
      let cancel = (): void => undefined;
      let started = false;
      const withdraw = this.enter(name, (left) => {
        started = true;
        cancel();
        resolve(left);
      });
      if (started) return;
      cancel = this.#clock.after(waiting_ms_max, () => {
        if (!withdraw()) return;
        reject(new AppError("tenant_busy", "Too much of this tenant is asked at once; try again."));
      });
    });
    try {
      return await work();
    } finally {
      leave();
    }
  }

  /** Whether what has to wait otherwise may start. */
  #mayStart(tenant: Tenant): boolean {
    if (this.#present < 2) return true;
    const { width } = this.#pace;
    if (width >= 1) return tenant.running === 0 || this.#running < Math.floor(width);
    return this.#clock.now() >= this.#rests_until_ms;
  }

  #start(tenant: Tenant, job: Job, held: boolean): void {
    const began_ms = this.#clock.now();
    tenant.running++;
    this.#running++;
    if (held) this.#rests_until_ms = began_ms + held_up_ms_max;
    let left = false;
    job(() => {
      if (left) return;
      left = true;
      const now = this.#clock.now();
      tenant.running--;
      this.#running--;
      this.#pace.took(began_ms, now - began_ms);
      if (held) this.#rests_until_ms = now + this.#restBehind(now - began_ms);
      this.#next();
    });
  }

  /** Rests are for tenants of which nothing waits: where all ask for too much, they help nobody. */
  #restBehind(took_ms: number): number {
    const { looking } = this.#pace;
    return looking || this.#backlogged < this.#present ? this.#pace.rest_ms(took_ms) : 0;
  }

  /** Starts what may start, one of each tenant in turn. */
  #next(): void {
    if (this.#waiting > 0) this.#pace.contended(this.#clock.now());
    while (this.#waiting > 0) {
      const found = this.#waitingTenant();
      if (found === null) return this.#wakeLater();
      const [name, tenant] = found;
      this.#tenants.delete(name);
      this.#tenants.set(name, tenant);
      const job = tenant.waiting.shift();
      if (job === undefined) return;
      if (tenant.waiting.length === 0) this.#backlogged--;
      this.#waiting--;
      this.#start(tenant, job, true);
    }
  }

  #waitingTenant(): [string, Tenant] | null {
    for (const entry of this.#tenants) {
      if (entry[1].waiting.length > 0 && this.#mayStart(entry[1])) return entry;
    }
    return null;
  }

  /** Goes on behind a rest. */
  #wakeLater(): void {
    this.#cancelWaking?.();
    this.#cancelWaking = null;
    // What runs will go on at its end.
    if (this.#pace.width >= 1) return;
    const rest_ms = Math.max(1, this.#rests_until_ms - this.#clock.now());
    this.#cancelWaking = this.#clock.after(rest_ms, () => {
      this.#cancelWaking = null;
      this.#next();
    });
  }

  #withdraw(tenant: Tenant, job: Job): boolean {
    const at = tenant.waiting.indexOf(job);
    if (at === -1) return false;
    tenant.waiting.splice(at, 1);
    if (tenant.waiting.length === 0) this.#backlogged--;
    this.#waiting--;
    return true;
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
