/**
 * The rows that a rebuild works on, of all its projectors at once: a row that changes often is folded
 * here and written once a flush. It holds whole actors, gives up the oldest when there are too many,
 * and then loads single rows again as they are wanted. Folding is straight: an event that cannot be
 * folded ends the rebuild, so nothing here is ever taken back.
 */
import type { Commit } from "../../schemas/commit.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { weigh } from "../batches.ts";
import type { Generation } from "../generations.ts";
import type { Database } from "../postgres.ts";
import type { Place, Row, Rows, Sheet } from "../projector.ts";
import { actorColumn, loadRows } from "../rows.ts";

/** A row, or the knowledge that there is none. */
interface Entry {
  row: Row | null;
  /** Whether the database has a row under its key. */
  stored: boolean;
  dirty: boolean;
  /** Where it is to be forgotten once it is written, since nobody can ask for it; else null. */
  readonly once: { readonly actor: Actor; readonly slot: Slot; readonly key: string } | null;
}

/** What is known of an actor's rows in one sheet. */
interface Slot {
  readonly entries: Map<string, Entry>;
  /** Whether every row there is of it is here. */
  whole: boolean;
}

interface Actor {
  readonly ref: ActorRef;
  readonly slots: (Slot | undefined)[];
  /** The flush that will write its last change. */
  flush: number;
  rows: number;
  chars: number;
}

/** What a flush writes into one table. */
export interface SheetRows {
  readonly sheet: Sheet;
  /** Actors whose stored rows go, before anything is written. */
  readonly cleared: readonly ActorRef[];
  /** Rows that the database should not have yet. */
  readonly fresh: readonly Row[];
  readonly changed: readonly Row[];
}

interface Wanted {
  readonly ref: ActorRef;
  readonly part: string | null;
}

/** One sheet's side of the cache: the fold's view of the actor in hand. */
class Target implements Rows<Row> {
  readonly one: Generation;
  readonly sheet: Sheet;
  readonly index: number;
  dirty: Entry[] = [];
  cleared = new Map<string, ActorRef>();
  /** The sequence that its generation had seen when the rebuild began. */
  seen = 0;
  /** The actor in hand; null when its commit is not for this sheet. */
  actor: Actor | null = null;
  slot: Slot = { entries: new Map(), whole: true };

  constructor(one: Generation, sheet: Sheet, index: number) {
    this.one = one;
    this.sheet = sheet;
    this.index = index;
  }

  /** Whether a commit is for it: of its kinds, and not in its rows already. */
  reads({ ref, sequence }: Commit): boolean {
    return sequence > this.seen && this.one.projector.kinds.includes(ref.kind);
  }

  get(part: string | null): Row | undefined {
    return this.slot.entries.get(part ?? "")?.row ?? undefined;
  }

  put(part: string | null, row: Row): void {
    const { entries } = this.slot;
    let entry = entries.get(part ?? "");
    if (entry === undefined) {
      const { actor, slot, sheet } = this;
      // Of a sheet with one row per actor, the fold can only ask for that one.
      const once = actor !== null && sheet.part === null && part !== null;
      entry = { row, stored: false, dirty: false, once: once ? { actor, slot, key: part } : null };
      entries.set(part ?? "", entry);
      if (actor !== null) actor.rows += 1;
    } else entry.row = row;
    if (entry.dirty) return;
    entry.dirty = true;
    this.dirty.push(entry);
  }

  clear(): void {
    if (this.actor === null) return;
    // What was put before and not written yet is not to be written.
    for (const entry of this.slot.entries.values()) entry.row = null;
    this.actor.rows -= this.slot.entries.size;
    this.slot.entries.clear();
    this.slot.whole = true;
    this.cleared.set(refKey(this.actor.ref), this.actor.ref);
  }
}

/** Says which commit could not be folded, and why; never returns. */
export type Refuse = (commit: Commit, error: unknown) => never;

export interface RowCache {
  /**
   * Folds commits into every projector that has not `seen` them yet, after loading what they want and
   * is not here.
   */
  apply(
    commits: readonly Commit[],
    seen: (one: Generation) => number,
    refuse: Refuse,
  ): Promise<void>;
  /** Rows and characters that wait to be written; characters are an upper bound. */
  waiting(): { readonly rows: number; readonly chars: number };
  /** What is to be written, by generation; from then on it counts as written. */
  take(): Map<Generation, SheetRows[]>;
  /** Gives up actors that were written, the oldest first, until it is within its bounds. */
  trim(rows_max: number, chars_max: number): void;
}

export function createRowCache(database: Database, generations: readonly Generation[]): RowCache {
  const targets = generations
    .flatMap((one) => one.projector.sheets.map((sheet) => ({ one, sheet })))
    .map(({ one, sheet }, index) => new Target(one, sheet, index));
  const actors = new Map<string, Actor>();
  let flush = 0;
  let held = { rows: 0, chars: 0 };
  let chars_waiting = 0;

  const slotOf = (actor: Actor, { index }: Target, revision: number): Slot => {
    let slot = actor.slots[index];
    if (slot === undefined) {
      slot = { entries: new Map(), whole: revision === 1 };
      actor.slots[index] = slot;
    }
    return slot;
  };
  const actorOf = (ref: ActorRef): Actor => {
    const key = refKey(ref);
    let actor = actors.get(key);
    if (actor === undefined) {
      actor = { ref, slots: [], flush, rows: 0, chars: 0 };
      actors.set(key, actor);
    }
    return actor;
  };
  const loadInto = async (
    { one, sheet, index }: Target,
    wanted: readonly Wanted[],
  ): Promise<void> => {
    const { table, part } = sheet;
    const [only] = one.projector.kinds;
    const found = new Map<string, Row>();
    for (const row of await loadRows(sheet, one.schema, wanted, database)) {
      const { tenant, kind = only, [actorColumn(table)]: id } = row;
      found.set(`${tenant}.${kind}.${id} ${part === null ? "" : String(row[part])}`, row);
    }
    for (const { ref, part: wish } of wanted) {
      const actor = actorOf(ref);
      const row = found.get(`${refKey(ref)} ${wish ?? ""}`) ?? null;
      actor.slots[index]?.entries.set(wish ?? "", {
        row,
        stored: row !== null,
        dirty: false,
        once: null,
      });
      actor.rows += 1;
      held.rows += 1;
    }
  };

  /** What the commits want of a sheet and is not here, each once. */
  const wantedOf = (
    target: Target,
    commits: readonly Commit[],
    involved: readonly Actor[],
  ): Wanted[] => {
    const wanted = new Map<string, Wanted>();
    for (const [index, commit] of commits.entries()) {
      const actor = involved[index];
      if (actor === undefined || !target.reads(commit)) continue;
      const slot = slotOf(actor, target, commit.revision);
      if (slot.whole) continue;
      for (const event of commit.events) {
        const part = target.sheet.wants(event);
        if (part === undefined || slot.entries.has(part ?? "")) continue;
        wanted.set(`${refKey(commit.ref)} ${part ?? ""}`, { ref: commit.ref, part });
      }
    }
    return [...wanted.values()];
  };

  const fold = (commit: Commit, actor: Actor): void => {
    const { ref, revision, events, at } = commit;
    const before = actor.rows;
    const last = revision + events.length - 1;
    for (const target of targets) {
      target.actor = target.reads(commit) ? actor : null;
      if (target.actor !== null) target.slot = slotOf(actor, target, revision);
    }
    for (const [index, event] of events.entries()) {
      const first = index === 0;
      const place: Place = { ref, revision: revision + index, last, at, first, commit };
      for (const target of targets) {
        if (target.actor !== null) target.sheet.fold(target, event, place);
      }
    }
    const chars = weigh(commit);
    actor.flush = flush;
    actor.chars += chars;
    chars_waiting += chars;
    held = { rows: held.rows + actor.rows - before, chars: held.chars + chars };
  };

  return {
    async apply(commits, seen, refuse) {
      const involved = commits.map(({ ref }) => actorOf(ref));
      for (const target of targets) {
        target.seen = seen(target.one);
        const wanted = wantedOf(target, commits, involved);
        if (wanted.length > 0) await loadInto(target, wanted);
      }
      for (const [index, commit] of commits.entries()) {
        const actor = involved[index];
        if (actor === undefined) continue;
        try {
          fold(commit, actor);
        } catch (error) {
          refuse(commit, error);
        }
      }
    },
    waiting() {
      let rows = 0;
      for (const { dirty, cleared } of targets) rows += dirty.length + cleared.size;
      return { rows, chars: chars_waiting };
    },
    take() {
      const taken = new Map<Generation, SheetRows[]>(generations.map((one) => [one, []]));
      for (const target of targets) {
        const fresh: Row[] = [];
        const changed: Row[] = [];
        for (const entry of target.dirty) {
          entry.dirty = false;
          if (entry.row === null) continue;
          (entry.stored ? changed : fresh).push(entry.row);
          entry.stored = true;
          if (entry.once === null) continue;
          const { actor, slot, key } = entry.once;
          slot.entries.delete(key);
          actor.rows -= 1;
          held.rows -= 1;
        }
        const { sheet } = target;
        taken
          .get(target.one)
          ?.push({ sheet, fresh, changed, cleared: [...target.cleared.values()] });
        target.dirty = [];
        target.cleared = new Map();
      }
      flush += 1;
      chars_waiting = 0;
      return taken;
    },
    trim(rows_max, chars_max) {
      for (const [key, actor] of actors) {
        if (held.rows <= rows_max && held.chars <= chars_max) return;
        // Changed since, so it waits to be written.
        if (actor.flush === flush) continue;
        actors.delete(key);
        held = { rows: held.rows - actor.rows, chars: held.chars - actor.chars };
      }
    },
  };
}
