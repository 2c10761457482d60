/**
 * How much of what waits for a server is handed to it at once, learned from how long it takes. The aim is
 * that whoever asks seldom waits no longer than twice what an answer takes in calm (I10): a server that is
 * kept busy to its last microsecond answers everybody late, whoever's turn it is. So the width also goes
 * below one: then the server rests behind each piece of work.
 *
 * Calm is looked for while there is no calm: every so often little is handed on for a few jobs, and what
 * those take is what the others are compared with (BBR finds a path's delay that way). The quickest job of
 * late is no measure: jobs differ, and one that changes nothing takes a third of the usual.
 */

const width_first = 8;
const width_max = 64;
/** One job, then a rest of three times as long as it took. */
const width_min = 1 / 4;
const rest_ms_max = 250;
const look_every_ms = 10_000;
/** Jobs of a look; the first meet what was under way before, the slowest may have met a collection. */
const look_jobs = 10;
const looked_jobs_dropped = 2;
const looks_kept = 6;
/** Jobs that are judged together, at least. */
const round_jobs = 4;
/**
 * Above calm by more than half is too slow: what a tenant waits for is more than one such job, and its
 * slow answers count, not its usual ones.
 */
const slower_max = 1.5;
const [narrower, wider] = [0.7, 1.1];
/** So much is the clock's own grain. */
const grain_ms = 1;

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export class Pace {
  #width = width_first;
  /** What a job took in the last looks. */
  readonly #looks: number[] = [];
  /** When the look that goes on, or the last one, began. */
  #looked_ms = Number.NEGATIVE_INFINITY;
  #looking = false;
  #round: number[] = [];

  /** How many at once; below 1: that part of the time. */
  get width(): number {
    return this.#looking ? width_min : this.#width;
  }

  /** Whether calm is looked for. */
  get looking(): boolean {
    return this.#looking;
  }

  /** What a job takes in calm; null while that is not known. */
  get calm_ms(): number | null {
    // Of the calmest, but not of one lucky look: then a server that is half idle seems busy.
    const sorted = this.#looks.toSorted((one, other) => one - other);
    return sorted[Math.floor((sorted.length - 1) / 4)] ?? null;
  }

  /** Something waits: looks for calm when that is due. */
  contended(now_ms: number): void {
    if (this.#looking || now_ms - this.#looked_ms < look_every_ms) return;
    this.#looked_ms = now_ms;
    this.#looking = true;
    this.#round = [];
  }

  /** A job that began then has taken so long. */
  took(began_ms: number, ms: number): void {
    if (this.#looking && began_ms <= this.#looked_ms) return;
    this.#round.push(ms);
    if (this.#looking) {
      if (this.#round.length < look_jobs) return;
      // Nothing is known at first, so it begins carefully.
      if (this.#looks.length === 0) this.#width = 1;
      const calm = this.#round.slice(looked_jobs_dropped).sort((one, other) => one - other);
      this.#looks.push(mean(calm.slice(0, -1)));
      if (this.#looks.length > looks_kept) this.#looks.shift();
      this.#looking = false;
    } else {
      if (this.#round.length < Math.max(round_jobs, this.#width)) return;
      this.#width = this.#widthAfter(mean(this.#round));
    }
    this.#round = [];
  }

  /** How long the server rests behind a job that took so long. */
  rest_ms(took_ms: number): number {
    return this.width < 1 ? Math.min(rest_ms_max, took_ms * (1 / this.width - 1)) : 0;
  }

  #widthAfter(round_ms: number): number {
    const { calm_ms } = this;
    if (calm_ms === null) return this.#width;
    if (round_ms > Math.max(slower_max * calm_ms, calm_ms + grain_ms)) {
      return Math.max(width_min, this.#width * narrower);
    }
    return Math.min(width_max, this.#width * wider);
  }
}
