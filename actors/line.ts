/**
 * One actor's line of commits, as this worker knows it: folded from the log, decided on, appended to.
 * A lost append means that another went on: the actor is loaded anew and decides again (I3). A command
 * that is in the line takes no second effect (I2). State always comes from stored commits, or from a
 * snapshot that the log agrees with (I4).
 */
import { isWorkerCommand, type NamedCommand } from "../schemas/commands.ts";
import {
  type Commit,
  type CommitDraft,
  type Head,
  type LineEnd,
  refusalOf,
} from "../schemas/commit.ts";
import { AppError } from "../schemas/errors.ts";
import type { ActorRef, By } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Answer, Instance, Kind } from "./kind.ts";
import {
  fold,
  fromSnapshot,
  type Loaded,
  nothingFolded,
  type Place,
  placeOf,
  toSnapshot,
} from "./loaded.ts";
import type { Ports, Snapshot } from "./ports.ts";

/** What came of a command. `done` without a commit names where the line ended. */
export type Outcome =
  | { readonly is: "done" | "repeat"; readonly at: Place }
  | { readonly is: "refused"; readonly error: AppError };

export interface Order {
  readonly command: NamedCommand;
  readonly id: string;
  readonly by: By;
  readonly manages: boolean;
  readonly traceparent: string | null;
  /** Whether this worker has no room for one more turn: for anybody, or for this tenant. */
  readonly overloaded: () => boolean;
  readonly crowded: () => boolean;
  readonly busy: () => boolean;
}

/** The actor left this worker while something was on its way. */
export class Left extends Error {}

export class Line {
  readonly #ref: ActorRef;
  readonly #ports: Ports;
  readonly #kind: Kind;
  readonly #onFolded: (instance: Instance) => void;
  #loaded: Loaded | null = null;
  #left = false;
  #planned = false;

  /** `onFolded` is called after everything that changed the state. */
  constructor(ref: ActorRef, ports: Ports, kind: Kind, onFolded: (instance: Instance) => void) {
    this.#ref = ref;
    this.#ports = ports;
    this.#kind = kind;
    this.#onFolded = onFolded;
  }

  /** Null while it is not in memory. */
  get instance(): Instance | null {
    return this.#loaded?.instance ?? null;
  }

  has(command: string): boolean {
    return this.#loaded?.commits.has(command) === true;
  }

  /**
   * Loads it when it is not in memory; `begins` says that it may have nothing to load yet. Throws
   * `AppError("unavailable")`, `Left`.
   */
  async load(begins = false): Promise<Instance> {
    return (await this.#load(begins)).instance;
  }

  /** Reads what others have appended; one that is awake learns of that by losing an append. */
  async refresh(): Promise<Instance> {
    const loaded = await this.#load();
    if (!loaded.instance.awake) await this.#read(loaded);
    this.#onFolded(loaded.instance);
    return loaded.instance;
  }

  /** Decides and appends. Throws `AppError("unavailable")` when nothing was decided, and `Left`. */
  async commit(order: Order): Promise<Outcome> {
    const { command, id, by, manages, traceparent } = order;
    // A timer that has fired is gone; a stale one is asked for again.
    if (isWorkerCommand(command.name)) this.#planned = false;
    let fresh = false;
    for (let tries = 0; tries < limits.append_attempts_max; tries++) {
      if (tries > 0) await this.pause(limits.append_backoff_ms[tries] ?? 0);
      const loaded = await this.#load();
      const known = loaded.commits.get(id);
      if (known !== undefined) {
        if (!loaded.instance.tells(by, manages)) {
          return { is: "refused", error: new AppError("not_found") };
        }
        const { refusal, ...at } = known;
        if (refusal !== null) return { is: "refused", error: new AppError(refusal) };
        return { is: "repeat", at };
      }
      const full = loaded.commits.size >= limits.commits_per_actor_max;
      const at = new Date(this.#ports.clock.now()).toISOString();
      const room = {
        ...{ full, overloaded: order.overloaded() },
        ...{ crowded: order.crowded(), busy: order.busy() },
      };
      const asking = { id, by, manages, at, ...room };
      // Whoever may not know that it exists is told nothing of where it stands (I10).
      const moved = loaded.instance.tells(by, manages) && !isExpected(loaded, command);
      const answer: Answer = moved
        ? { is: "refused", code: "precondition_failed" }
        : await this.here(loaded.instance.decide(command, asking));
      if (!fresh && (answer.is === "refused" || answer.events.length === 0)) {
        // No append will tell us that others went on in the meantime, and a wrong refusal of a
        // command that is in their log would end the lease of a running turn.
        fresh = true;
        if (await this.#moved(loaded)) continue;
      }
      if (answer.is === "refused") {
        return { is: "refused", error: new AppError(answer.code, answer.detail) };
      }
      if (answer.events.length === 0) {
        this.#plan(loaded);
        return { is: "done", at: placeOf(loaded.head) };
      }
      const draft: CommitDraft = {
        ...{ ref: this.#ref, commit: this.#ports.ids(), command: id, by, at, traceparent },
        events: answer.events,
      };
      const appended = await this.#append(loaded, draft);
      if (appended === null) continue;
      if (appended instanceof AppError) return { is: "refused", error: appended };
      const refusal = refusalOf(answer.events);
      if (refusal !== null) return { is: "refused", error: new AppError(refusal) };
      return { is: "done", at: placeOf(appended) };
    }
    throw new AppError("unavailable", "Too many others write to this actor at once.");
  }

  /** Takes a snapshot before a rest, unless reading the tail is as quick. */
  keep(): void {
    if (this.#loaded !== null) this.#keep(this.#loaded, limits.snapshot_tail_events);
  }

  /** Leaves memory. A running effect is found again when it is loaded anew; frozen until then. */
  unload(): void {
    this.#loaded?.instance.detach();
    this.#loaded = null;
  }

  /** Leaves this worker: effects stop, and whatever is under way ends with `Left`. */
  leave(): void {
    this.#left = true;
    this.unload();
    this.#kind.halt(this.#ref);
  }

  /** The value, unless the actor has left in the meantime. */
  async here<T>(promise: Promise<T>): Promise<T> {
    const value = await promise;
    if (this.#left) throw new Left();
    return value;
  }

  pause(ms: number): Promise<void> {
    return this.here(new Promise((resolve) => void this.#ports.clock.after(ms, resolve)));
  }

  async #load(begins = false): Promise<Loaded> {
    if (this.#loaded !== null) return this.#loaded;
    // Side by side: a message waits for the load of its conversation.
    const end = this.#ports.log.end(this.#ref, begins);
    end.catch(() => undefined);
    // Of one that may be new there is hardly ever a snapshot, unless its line has begun.
    const kept = !begins || (await this.here(end)).sequence > 0;
    const snapshot = kept ? await this.here(this.#ports.snapshots.load(this.#ref)) : null;
    const loaded =
      (snapshot === null ? null : await this.#restored(snapshot, end)) ??
      (await this.#read(nothingFolded(this.#kind.create(this.#ref)), end));
    this.#loaded = loaded;
    this.#onFolded(loaded.instance);
    this.#keep(loaded, limits.snapshot_events);
    this.#plan(loaded);
    return loaded;
  }

  /** From a snapshot and what came behind it; null when the log does not go on from there. */
  async #restored(snapshot: Snapshot, end: Promise<LineEnd>): Promise<Loaded | null> {
    try {
      const instance = this.#kind.create(this.#ref, snapshot.state);
      return await this.#read(fromSnapshot(instance, snapshot), end);
    } catch (error) {
      if (error instanceof Left || isAway(error)) throw error;
      this.#ports.report({ what: "a snapshot does not fit the log", ref: this.#ref, error });
      return null;
    }
  }

  /** Asks for its timer, once while it is here: one that was lost comes back with the next load. */
  #plan({ instance }: Loaded): void {
    const timer = this.#planned ? null : instance.timer();
    if (timer === null) return;
    this.#planned = true;
    this.#ports.timers.set(this.#ref, timer.key, timer.at_ms, timer.command);
  }

  /** Takes a snapshot when so many events came behind the last. Only of what the log has taken. */
  #keep(loaded: Loaded, events: number): void {
    if (loaded.head.revision - loaded.kept < events || loaded.instance.deleted) return;
    loaded.kept = loaded.head.revision;
    this.#ports.snapshots.save(this.#ref, toSnapshot(loaded));
  }

  /** Folds what the log holds behind what was folded, inert; then wakes what may run here. */
  async #read(loaded: Loaded, end?: Promise<LineEnd>): Promise<Loaded> {
    const { instance } = loaded;
    const commits = this.#ports.log.read(this.#ref, loaded.head, end)[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await this.here(commits.next());
      if (done === true) break;
      fold(loaded, value);
    }
    instance.dropStale();
    // Only now is it known that what froze it did not land.
    instance.thaw();
    const running = instance.running();
    if (running === null || running.here) instance.wake();
    return loaded;
  }

  /** Whether the log goes on behind what was folded; then the actor must be loaded anew. */
  async #moved({ head }: Loaded): Promise<boolean> {
    const commits = this.#ports.log.read(this.#ref, head)[Symbol.asyncIterator]();
    const { done } = await this.here(commits.next());
    if (done === true) return false;
    await commits.return?.();
    this.unload();
    return true;
  }

  /** The new head, applied; null after a lost append; an error that is an answer to the sender. */
  async #append(loaded: Loaded, draft: CommitDraft): Promise<Head | AppError | null> {
    const { instance, head } = loaded;
    try {
      const appended = await this.here(this.#ports.log.append(draft, head));
      if (!appended.ok) {
        this.unload();
        return null;
      }
      const { sequence, hash } = appended.head;
      const place = { revision: head.revision + 1, prev: head.hash, sequence, hash };
      const commit: Commit = { ...draft, ...place, erased: false };
      fold(loaded, commit);
      this.#ports.texts.remember(commit);
    } catch (error) {
      if (!(error instanceof AppError && error.code === "too_large")) throw error;
      instance.thaw();
      return error;
    }
    // Winning the append of a start is the right to run it.
    const running = instance.running();
    if (running === null || running.owner === this.#ports.workers.id) instance.wake();
    this.#onFolded(instance);
    this.#keep(loaded, limits.snapshot_events);
    this.#plan(loaded);
    return loaded.head;
  }
}

/** Whether a command that names the revision it was decided on finds what it changes there. */
function isExpected({ instance, head }: Loaded, command: NamedCommand): boolean {
  const { data } = command;
  if (!("ifRevision" in data) || data.ifRevision === undefined) return true;
  return data.ifRevision === (instance.revisionOf(command) ?? head.revision);
}

/** Nothing is wrong but that a service cannot be reached. */
export const isAway = (error: unknown): boolean =>
  error instanceof AppError && error.code === "unavailable";
