/**
 * One actor in memory: its mailbox, its line of commits, and the messages that it holds open. One
 * item at a time is decided on, appended and applied; a lost append loads the actor anew and decides
 * again. A command counts once, by its id (I2); its message leaves the queue only when its outcome
 * is in the log or answered (I1), and, while its turn runs or waits, when that turn ends.
 */
import type { NamedCommand, Reply } from "../schemas/commands.ts";
import {
  type Commit,
  type CommitDraft,
  empty_head,
  type Head,
  lastRevision,
} from "../schemas/commit.ts";
import { AppError, errorBody } from "../schemas/errors.ts";
import type { ActorRef, By } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Asking, Instance, Kind, TakeoverReason } from "./kind.ts";
import { Leases } from "./leases.ts";
import type { Delivery, Ports } from "./ports.ts";

/** What waits in a mailbox. `refresh` reads what others have appended. */
export type Item =
  | { readonly is: "delivery"; delivery: Delivery }
  | {
      readonly is: "report";
      readonly id: string;
      readonly command: NamedCommand;
      readonly done: () => void;
    }
  | { readonly is: "refresh" };

/** What an actor needs of its host. */
export interface Surroundings {
  readonly ports: Ports;
  readonly kind: Kind;
  /** Whether this worker holds as many commands of the partition open as it may. */
  overloaded(partition: number): boolean;
  /** Told of every command that is held open, or no longer. */
  onHeld(partition: number, change: number): void;
  /** Called when the mailbox is empty. */
  onIdle(resident: Resident): void;
  /** Called when the actor cannot go on here: its effects end, its messages are given back. */
  onBroken(resident: Resident): void;
}

interface Place {
  readonly revision: number;
  readonly sequence: number;
}

interface Loaded {
  readonly instance: Instance;
  head: Head;
  /** Every command that made a commit, and where. */
  readonly commits: Map<string, Place>;
}

type Outcome =
  | { readonly is: "done" | "repeat"; readonly at: Place }
  | { readonly is: "refused"; readonly error: AppError };

/** The actor left this worker while something was on its way. */
class Left extends Error {}

export class Resident {
  readonly ref: ActorRef;
  readonly #around: Surroundings;
  readonly #mailbox: Item[] = [];
  readonly leases: Leases;
  /** Where its last command came from. */
  partition: number;
  #loaded: Loaded | null = null;
  #working = false;
  #left = false;

  constructor(ref: ActorRef, partition: number, around: Surroundings) {
    this.ref = ref;
    this.partition = partition;
    this.#around = around;
    this.leases = new Leases((held, change) => around.onHeld(held, change));
  }

  /** False when the mailbox is full. A message that is delivered again replaces its old handle. */
  offer(item: Item): boolean {
    if (item.is === "delivery") {
      const { delivery } = item;
      const same = this.#mailbox.find(
        (other) => other.is === "delivery" && other.delivery.sequence === delivery.sequence,
      );
      if (same?.is === "delivery") {
        same.delivery = delivery;
        return true;
      }
      if (this.#mailbox.length >= limits.mailbox_max) return false;
    }
    if (item.is === "refresh" && this.#mailbox.some(({ is }) => is === "refresh")) return true;
    this.#mailbox.push(item);
    if (!this.#working) void this.#work();
    return true;
  }

  /** Every message that this actor keeps from being delivered again. */
  *deliveries(): Generator<Delivery> {
    for (const item of this.#mailbox) if (item.is === "delivery") yield item.delivery;
    yield* this.leases.held();
  }

  /** Whether it may leave memory without anything being lost. */
  get idle(): boolean {
    return (
      !this.#working && this.leases.size === 0 && this.#loaded?.instance.running()?.here !== true
    );
  }

  /** Whether it waits for what another worker does. */
  get follows(): boolean {
    return this.leases.size > 0 && this.#loaded?.instance.awake === false;
  }

  /** Leaves this worker: effects stop, nothing is answered any more, handles are not touched. */
  leave(): void {
    this.#left = true;
    this.#loaded?.instance.stop();
    this.#loaded = null;
    this.leases.leave();
    for (const item of this.#mailbox.splice(0)) if (item.is === "report") item.done();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let item = this.#mailbox[0]; item !== undefined; item = this.#mailbox[0]) {
      try {
        await this.#handle(item);
      } catch (error) {
        if (!this.#left && (await this.#failed(item, error)) === "again") continue;
      }
      if (this.#left) break;
      this.#mailbox.shift();
      if (item.is === "report") item.done();
    }
    this.#working = false;
    if (!this.#left) this.#around.onIdle(this);
  }

  async #handle(item: Item): Promise<void> {
    const { ports } = this.#around;
    if (item.is === "refresh") {
      const loaded = await this.#load();
      // An actor whose effects run here learns of what others appended by losing an append.
      if (!loaded.instance.awake) await this.#read(loaded);
      await this.#recover(loaded);
      return;
    }
    if (item.is === "report") {
      const by: By = { type: "system", id: ports.workers.id };
      const outcome = await this.#commit(item.command, item.id, by, null, null);
      if (outcome.is === "refused") throw outcome.error;
      return;
    }
    const { id, command, by, traceparent, partition } = item.delivery;
    await this.#recover(await this.#load());
    const outcome = await this.#commit(command, id, by, traceparent, partition);
    await this.#settle(item.delivery, outcome);
  }

  /** Answers a command's sender, then acknowledges its message or holds it as a lease. */
  async #settle(delivery: Delivery, outcome: Outcome): Promise<void> {
    const { id: command, reply } = delivery;
    const answer: Reply =
      outcome.is === "refused"
        ? { command, ok: false, error: outcome.error.body() }
        : { command, ok: true, ...outcome.at };
    if (reply !== null) this.#around.ports.replies.answer(reply, answer);
    const { instance } = await this.#load();
    const lease = outcome.is === "refused" ? "none" : instance.leaseOf(command);
    if (lease === "none") {
      delivery.ack();
      return;
    }
    this.leases.hold(delivery);
    // The stream is the failure detector: whoever held this message for the turn does no longer.
    const again = outcome.is === "repeat" && delivery.deliveries > 1;
    if (lease === "running" && again && instance.running()?.here === false) {
      await this.#takeOver(instance, "lease_redelivered");
    }
  }

  /** A running turn that nobody runs any more is taken over. */
  async #recover({ instance }: Loaded): Promise<void> {
    const { workers } = this.#around.ports;
    const running = instance.running();
    if (running === null || running.here) return;
    // One of our own id that does not run here was started by an append whose outcome we never saw.
    if (running.owner === workers.id || workers.gone(running.owner)) {
      await this.#takeOver(instance, "owner_gone");
    }
  }

  async #takeOver(instance: Instance, reason: TakeoverReason): Promise<void> {
    const { ports } = this.#around;
    const command = instance.takeover(reason);
    if (command === null) return;
    const by: By = { type: "system", id: ports.workers.id };
    await this.#commit(command, ports.ids(), by, null, null);
  }

  /** Decides and appends, again after every lost append; `partition` is that of a delivery. */
  async #commit(
    command: NamedCommand,
    id: string,
    by: By,
    traceparent: string | null,
    partition: number | null,
  ): Promise<Outcome> {
    const { ports, overloaded } = this.#around;
    let fresh = false;
    for (let tries = 0; tries < limits.append_attempts_max; tries++) {
      if (tries > 0) await this.#pause(limits.append_backoff_ms[tries] ?? 0);
      const loaded = await this.#load();
      const known = loaded.commits.get(id);
      if (known !== undefined) return { is: "repeat", at: known };
      const asking: Asking = {
        ...{ id, by },
        full: loaded.commits.size >= limits.commits_per_actor_max,
        overloaded: partition !== null && overloaded(partition),
      };
      const answer = await this.#here(loaded.instance.decide(command, asking));
      if (!fresh && (answer.is === "refused" || answer.events.length === 0)) {
        // No append will tell us that others went on in the meantime, and a wrong refusal of a
        // command that is in their log would end the lease of a running turn.
        fresh = true;
        if (await this.#moved(loaded)) continue;
      }
      if (answer.is === "refused") {
        return { is: "refused", error: new AppError(answer.code, answer.detail) };
      }
      if (answer.events.length === 0) return { is: "done", at: placeOf(loaded.head) };
      const draft: CommitDraft = {
        ...{ ref: this.ref, commit: ports.ids(), command: id, by, traceparent },
        at: new Date(ports.clock.now()).toISOString(),
        events: answer.events,
      };
      const appended = await this.#append(loaded, draft);
      if (appended === null) continue;
      if (appended instanceof AppError) return { is: "refused", error: appended };
      this.#apply(loaded, { ...draft, ...following(loaded.head, appended), erased: false });
      return { is: "done", at: placeOf(appended) };
    }
    throw new AppError("unavailable", "Too many others write to this actor at once.");
  }

  /** The new head; null after a lost append; an error that is an answer to the sender. */
  async #append({ instance, head }: Loaded, draft: CommitDraft): Promise<Head | AppError | null> {
    try {
      const appended = await this.#here(this.#around.ports.log.append(draft, head));
      if (appended.ok) return appended.head;
      instance.thaw();
      this.#unload();
      return null;
    } catch (error) {
      if (!(error instanceof AppError && error.code === "too_large")) throw error;
      instance.thaw();
      return error;
    }
  }

  #apply(loaded: Loaded, commit: Commit): void {
    const { instance } = loaded;
    instance.fold(commit);
    loaded.head = { revision: lastRevision(commit), sequence: commit.sequence, hash: commit.hash };
    loaded.commits.set(commit.command, placeOf(loaded.head));
    // Winning the append of a start is the right to run it.
    const running = instance.running();
    if (running === null || running.owner === this.#around.ports.workers.id) instance.wake();
    this.leases.release((command) => instance.leaseOf(command) === "none");
  }

  async #load(): Promise<Loaded> {
    if (this.#loaded !== null) return this.#loaded;
    const instance = this.#around.kind.create(this.ref);
    const loaded: Loaded = { instance, head: empty_head, commits: new Map() };
    await this.#read(loaded);
    this.#loaded = loaded;
    return loaded;
  }

  /** Folds what the log holds behind what was folded, inert; then wakes what may run here. */
  async #read(loaded: Loaded): Promise<void> {
    const { instance } = loaded;
    const { log } = this.#around.ports;
    const commits = log.read(this.ref, loaded.head)[Symbol.asyncIterator]();
    for (;;) {
      const { done, value } = await this.#here(commits.next());
      if (done === true) break;
      instance.fold(value);
      loaded.head = { revision: lastRevision(value), sequence: value.sequence, hash: value.hash };
      loaded.commits.set(value.command, placeOf(loaded.head));
    }
    instance.dropStale();
    const running = instance.running();
    if (running === null || running.here) instance.wake();
    this.leases.release((command) => instance.leaseOf(command) === "none");
  }

  /** Whether the log goes on behind what was folded; then the actor must be loaded anew. */
  async #moved({ head }: Loaded): Promise<boolean> {
    const commits = this.#around.ports.log.read(this.ref, head)[Symbol.asyncIterator]();
    const { done } = await this.#here(commits.next());
    if (done === true) return false;
    await commits.return?.();
    this.#unload();
    return true;
  }

  #unload(): void {
    this.#loaded?.instance.detach();
    this.#loaded = null;
  }

  /** The value, unless the actor has left in the meantime. */
  async #here<T>(promise: Promise<T>): Promise<T> {
    const value = await promise;
    if (this.#left) throw new Left();
    return value;
  }

  #pause(ms: number): Promise<void> {
    const { clock } = this.#around.ports;
    return this.#here(new Promise((resolve) => void clock.after(ms, resolve)));
  }

  /**
   * Nothing was decided. A message is given back, with a longer wait each time; it is dead when it
   * failed too often for another reason than a service that is away, and is not in the log. A report
   * is tried until it is decided on, since nobody else will make it again.
   */
  async #failed(item: Item, error: unknown): Promise<"again" | "over"> {
    const { ports, onBroken } = this.#around;
    const away = error instanceof AppError && error.code === "unavailable";
    if (!away) ports.report({ what: "an actor could not decide", ref: this.ref, error });
    this.#loaded?.instance.thaw();
    const known = (id: string): boolean => this.#loaded?.commits.has(id) === true;
    if (item.is === "delivery") {
      const { delivery } = item;
      const { deliveries, reply, id: command } = delivery;
      if (away || known(command) || deliveries < limits.deliveries_max) {
        delivery.nak(limits.redelivery_ms[deliveries - 1] ?? limits.redelivery_ms[2]);
      } else {
        const answer: Reply = { command, ok: false, error: errorBody("command_dead") };
        if (reply !== null) ports.replies.answer(reply, answer);
        delivery.dead("command_dead", reasonOf(error));
      }
      // What is in memory may be what is wrong; a running answer is found again after a reload.
      if (!away) this.#unload();
      return "over";
    }
    if (away) {
      if (item.is === "refresh") return "over";
      await this.#pause(limits.runner_backoff_ms).catch(() => undefined);
      return "again";
    }
    if (item.is === "report") item.done();
    onBroken(this);
    return "over";
  }
}

const placeOf = ({ revision, sequence }: Head): Place => ({ revision, sequence });

const following = (before: Head, { sequence, hash }: Head) => ({
  revision: before.revision + 1,
  prev: before.hash,
  sequence,
  hash,
});

const reasonOf = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error);
