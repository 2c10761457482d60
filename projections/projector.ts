/**
 * What a projector is: a name, a version and sheets. A sheet is one table and one pure fold from an
 * event to its rows. The fold sees only rows of the event's own actor, and a commit changes all
 * sheets or none, so a row depends on nothing but its actor's events (I8). A fold that throws is a
 * poison event: `applyBatch` leaves its commit out and names the actor, to be parked.
 *
 * A change of a table or a fold is a new version, never a migration.
 */
import type { Commit } from "../schemas/commit.ts";
import { type ActorRef, type Kind, refKey } from "../schemas/ids.ts";
import type { DomainEvent, EventType } from "../schemas/events.ts";
import type { Sql } from "./postgres.ts";
import { actorColumn, loadRows, writeRows } from "./rows.ts";

export type Value = string | number | boolean | null;
export type Row = Readonly<Record<string, Value>>;

export interface Table {
  readonly name: string;
  /** Column → its SQL type; `not null` follows from `nullable`. The first is `tenant`. */
  readonly columns: Readonly<Record<string, string>>;
  readonly nullable: readonly string[];
  /** Begins with the tenant and the actor's id; with tenant, `kind` and id for several kinds. */
  readonly key: readonly string[];
  /** What follows `ON <table>` in CREATE INDEX. */
  readonly indexes: readonly string[];
  /** Columns that the view in schema `read` does not show: the fold's own memory. */
  readonly hidden: readonly string[];
}

/** An event with its place: what a fold may know beside the data. */
export interface Place {
  readonly ref: ActorRef;
  /** This event's number. */
  readonly revision: number;
  /** The number of the commit's last event. */
  readonly last: number;
  readonly at: string;
  /** Whether it is the first event of its commit. */
  readonly first: boolean;
  readonly commit: Commit;
}

/** The rows of one actor, by what `wants` named; null for the actor's one row. */
export interface Rows<R extends Row> {
  get(part: string | null): R | undefined;
  put(part: string | null, row: R): void;
  /** Removes all rows of the actor, stored ones as well. */
  clear(): void;
}

export interface Sheet<R extends Row = Row> {
  readonly table: Table;
  /** The column by which `part` finds a row within its actor; null: one row per actor. */
  readonly part: string | null;
  /** The part that the fold will `get` for this event; undefined when it gets none. */
  wants(event: DomainEvent): string | null | undefined;
  /** Changes rows; throws when the event cannot follow what was. */
  fold(rows: Rows<R>, event: DomainEvent, place: Place): void;
}

export interface Projector {
  readonly name: string;
  readonly version: number;
  /** Whose commits it reads. With several, every table has a column `kind` in its key. */
  readonly kinds: readonly Kind[];
  /** The events that its folds look at; all of its kinds' when absent. What it leaves out costs it nothing. */
  readonly reads?: ReadonlySet<EventType>;
  readonly sheets: readonly Sheet[];
}

/** A commit that could not be applied; its actor is to be parked. */
export interface Poison {
  readonly ref: ActorRef;
  readonly revision: number;
  readonly sequence: number;
  readonly reason: string;
}

/** What a batch does to one sheet. */
export interface SheetChange {
  readonly sheet: Sheet;
  /** Stored rows, then those of the batch, by actor and part; null for "no longer there". */
  readonly rows: Map<string, Row | null>;
  /** Keys of `rows` that the batch has put. */
  readonly put: Set<string>;
  /** Actors whose stored rows go. */
  readonly cleared: Map<string, ActorRef>;
}

/** Whether a commit may change one of the projector's rows. */
export function concerns({ kinds, reads }: Projector, { ref, events }: Commit): boolean {
  if (!kinds.includes(ref.kind)) return false;
  return reads === undefined || events.some(({ type }) => reads.has(type));
}

export const rowKey = (ref: ActorRef, part: string | null): string =>
  `${refKey(ref)} ${part ?? ""}`;

/**
 * Applies commits, in log order, to the projector's tables in `schema`, within the transaction that
 * `sql` runs in, once `moved` says that it is ours to do. Skips actors of which `skip` says so, and
 * every later commit of a poisoned one.
 */
export async function applyBatch(
  projector: Projector,
  schema: string,
  commits: readonly Commit[],
  sql: Sql,
  skip: (ref: ActorRef) => boolean,
  moved: Promise<unknown> = Promise.resolve(),
): Promise<Poison[]> {
  const wanted = commits.filter((commit) => concerns(projector, commit) && !skip(commit.ref));
  // Side by side: their statements travel together, that of `moved` the first.
  const [changes] = await Promise.all([
    Promise.all(projector.sheets.map((sheet) => load(projector, sheet, schema, wanted, sql))),
    moved,
  ]);
  const poisons = foldCommits(changes, wanted);
  await Promise.all(changes.map((change) => writeRows(change, schema, sql)));
  return poisons;
}

/** Folds commits into changes that hold the stored rows: the pure middle of `applyBatch`. */
export function foldCommits(changes: readonly SheetChange[], commits: readonly Commit[]): Poison[] {
  const poisons = new Map<string, Poison>();
  for (const commit of commits) {
    const { ref, revision, sequence } = commit;
    if (poisons.has(refKey(ref))) continue;
    const drafts = changes.map((change) => draftOf(change, ref));
    try {
      for (const [index, event] of commit.events.entries()) {
        const place: Place = {
          ref,
          revision: revision + index,
          last: revision + commit.events.length - 1,
          at: commit.at,
          first: index === 0,
          commit,
        };
        for (const draft of drafts) draft.sheet.fold(draft.rows, event, place);
      }
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      poisons.set(refKey(ref), { ref, revision, sequence, reason });
      continue;
    }
    for (const draft of drafts) draft.merge();
  }
  return [...poisons.values()];
}

/** One commit's changes to one sheet, merged only when the whole commit could be folded. */
function draftOf(
  change: SheetChange,
  ref: ActorRef,
): { sheet: Sheet; rows: Rows<Row>; merge: () => void } {
  const puts = new Map<string, Row>();
  let cleared = false;
  const rows: Rows<Row> = {
    get(part) {
      const key = rowKey(ref, part);
      return puts.get(key) ?? (cleared ? undefined : (change.rows.get(key) ?? undefined));
    },
    put: (part, row) => void puts.set(rowKey(ref, part), row),
    clear() {
      cleared = true;
      puts.clear();
    },
  };
  const merge = (): void => {
    if (cleared) {
      const prefix = `${refKey(ref)} `;
      for (const key of [...change.rows.keys()]) {
        if (!key.startsWith(prefix)) continue;
        change.rows.set(key, null);
        change.put.delete(key);
      }
      change.cleared.set(refKey(ref), ref);
    }
    for (const [key, row] of puts) {
      change.rows.set(key, row);
      change.put.add(key);
    }
  };
  return { sheet: change.sheet, rows, merge };
}

async function load(
  { kinds: [only] }: Projector,
  sheet: Sheet,
  schema: string,
  commits: readonly Commit[],
  sql: Sql,
): Promise<SheetChange> {
  const wanted = new Map<string, { ref: ActorRef; part: string | null }>();
  const begun = new Set<string>();
  for (const { ref, events, revision } of commits) {
    // Before its first commit an actor has no rows.
    if (revision === 1) begun.add(refKey(ref));
    if (begun.has(refKey(ref))) continue;
    for (const event of events) {
      const part = sheet.wants(event);
      if (part !== undefined) wanted.set(rowKey(ref, part), { ref, part });
    }
  }
  const rows = new Map<string, Row | null>();
  if (wanted.size > 0) {
    for (const row of await loadRows(sheet, schema, [...wanted.values()], sql)) {
      const part = sheet.part === null ? null : String(row[sheet.part]);
      const { tenant, kind = only, [actorColumn(sheet.table)]: id } = row;
      rows.set(`${tenant}.${kind}.${id} ${part ?? ""}`, row);
    }
  }
  return { sheet, rows, put: new Set(), cleared: new Map() };
}
