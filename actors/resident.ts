/**
 * One actor in memory: its mailbox and the messages that it holds open. One item at a time is decided
 * on. A message leaves the queue only when its outcome is in the log or answered (I1), and, while its
 * turn runs or waits, when that turn ends; the stream itself is the failure detector (I7).
 */
import { leasingCommands, type NamedCommand, type Reply } from "../schemas/commands.ts";
import type { TakeoverReason } from "../schemas/events/conversation.ts";
import { errorBody } from "../schemas/errors.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Instance, Kind } from "./kind.ts";
import { Leases } from "./leases.ts";
import { isAway, Line, type Outcome } from "./line.ts";
import type { Delivery, Ports } from "./ports.ts";
import { Recovery } from "./recovery.ts";

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
  /** Whether this tenant alone holds so many of them that others would find no place. */
  crowds(partition: number, tenant: string): boolean;
  /** Makes room for one more turn of a tenant; null when it runs as many as it may. */
  claim(tenant: string): (() => void) | null;
  /** Told of every command that is held open, or no longer. */
  onHeld(partition: number, tenant: string, change: number): void;
  /** Called when the mailbox is empty. */
  onIdle(resident: Resident): void;
  /** Called when the actor cannot go on here: its effects end, its messages are given back. */
  onBroken(resident: Resident): void;
}

export class Resident {
  readonly ref: ActorRef;
  readonly leases: Leases;
  /** Where its last command came from. */
  partition: number;
  readonly #around: Surroundings;
  readonly #line: Line;
  readonly #recovery: Recovery;
  readonly #mailbox: Item[] = [];
  #working = false;
  #left = false;
  /** How often in a row the item in hand met a service that is away. */
  #waits = 0;

  constructor(ref: ActorRef, partition: number, around: Surroundings) {
    this.ref = ref;
    this.partition = partition;
    this.#around = around;
    this.leases = new Leases((held, change) => around.onHeld(held, ref.tenant, change));
    this.#line = new Line(ref, around.ports, around.kind, (instance) =>
      this.leases.release((command) => instance.leaseOf(command) === "none"),
    );
    this.#recovery = new Recovery(ref, around.ports, (instance, reason) =>
      this.#takeOver(instance, reason),
    );
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
    return !this.#working && this.leases.size === 0 && !this.#around.kind.runs(this.ref);
  }

  get working(): boolean {
    return this.#working;
  }

  /** Whether it waits for what another worker does, or must be loaded anew. */
  get follows(): boolean {
    const waits = this.leases.size > 0 || this.#around.kind.runs(this.ref);
    return waits && this.#line.instance?.awake !== true;
  }

  /** Takes a snapshot before it leaves memory at rest. */
  keep(): void {
    this.#line.keep();
  }

  /** Leaves this worker: effects stop, nothing is answered any more, handles are not touched. */
  leave(): void {
    this.#left = true;
    this.leases.leave();
    for (const item of this.#mailbox.splice(0)) if (item.is === "report") item.done();
    this.#line.leave();
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let item = this.#mailbox[0]; item !== undefined; item = this.#mailbox[0]) {
      try {
        await this.#handle(item);
        this.#waits = 0;
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
    switch (item.is) {
      case "refresh": {
        const instance = await this.#line.refresh();
        // A message that we hold does not come again when whoever runs its turn was made to stop.
        if (this.leases.size > 0) this.#recovery.ask(instance);
        return this.#recovery.look(instance);
      }
      case "report": {
        const outcome = await this.#inside(item.command, item.id);
        if (outcome.is === "refused") throw outcome.error;
        return undefined;
      }
      case "delivery": {
        const { id, command, by, manages = false, traceparent, partition } = item.delivery;
        await this.#recovery.look(await this.#line.load(mayBegin(command)));
        const overloaded = (): boolean => this.#around.overloaded(partition);
        const crowded = (): boolean => this.#around.crowds(partition, this.ref.tenant);
        const begins = leasingCommands.has(command.name);
        const claim = begins ? this.#around.claim(this.ref.tenant) : null;
        const busy = (): boolean => begins && claim === null;
        try {
          const order = { command, id, by, manages, traceparent, overloaded, crowded, busy };
          return await this.#settle(item.delivery, await this.#line.commit(order));
        } finally {
          claim?.();
        }
      }
    }
  }

  /** Answers a command's sender, then acknowledges its message or holds it as a lease. */
  async #settle(delivery: Delivery, outcome: Outcome): Promise<void> {
    const { id: command, reply } = delivery;
    const answer: Reply =
      outcome.is === "refused"
        ? { command, ok: false, error: outcome.error.body() }
        : { command, ok: true, ...outcome.at };
    if (reply !== null) this.#around.ports.replies.answer(reply, answer);
    if (outcome.is === "refused") {
      delivery.ack();
      return;
    }
    const instance = await this.#line.load();
    // Whoever held this message for the running turn does so no longer.
    const again = outcome.is === "repeat" && delivery.deliveries > 1;
    const elsewhere = instance.running()?.here === false;
    if (again && elsewhere && instance.leaseOf(command) === "running") {
      await this.#takeOver(instance, "lease_redelivered");
    }
    // Held only now: a message that is held is not delivered again, so a takeover that failed would
    // never be tried again.
    if ((await this.#line.load()).leaseOf(command) === "none") delivery.ack();
    else this.leases.hold(delivery);
  }

  async #takeOver(instance: Instance, reason: TakeoverReason): Promise<void> {
    const command = instance.takeover(reason);
    if (command !== null) await this.#inside(command, this.#around.ports.ids());
  }

  /** A command of this worker's own. */
  #inside(command: NamedCommand, id: string): Promise<Outcome> {
    const by = { type: "system" as const, id: this.#around.ports.workers.id };
    const no = (): boolean => false;
    const order = { command, id, by, manages: false, traceparent: null };
    return this.#line.commit({ ...order, overloaded: no, crowded: no, busy: no });
  }

  /**
   * Nothing was decided. While a service is away the item waits in its place: its order is kept, and
   * an outage is no delivery that counts. Else a message is given back, with a longer wait each time,
   * and is dead when it was delivered too often and is not in the log. A report is never given back,
   * since nobody else will make it again. What is in memory may be what is wrong, or behind an append
   * that landed without an answer, so it is loaded anew.
   */
  async #failed(item: Item, error: unknown): Promise<"again" | "over"> {
    const { ports, kind, onBroken } = this.#around;
    const known = item.is === "delivery" && this.#line.has(item.delivery.id);
    this.#line.unload();
    if (isAway(error)) {
      if (item.is === "refresh") return "over";
      this.#waits += 1;
      if (this.#waits === limits.deliveries_max) {
        // Once: a log that is full, or away for long, is seen by whoever runs this.
        ports.report({ what: "an actor waits", ref: this.ref, error });
      }
      await this.#line.pause(backoff_ms(this.#waits)).catch(() => undefined);
      return "again";
    }
    this.#waits = 0;
    ports.report({ what: "an actor could not decide", ref: this.ref, error });
    if (item.is === "delivery") {
      const { delivery } = item;
      const { deliveries, reply, id: command } = delivery;
      if (known || deliveries < limits.deliveries_max) {
        delivery.nak(backoff_ms(deliveries));
      } else {
        const answer: Reply = { command, ok: false, error: errorBody("command_dead") };
        delivery.dead("command_dead", reasonOf(error), () => {
          if (reply !== null) ports.replies.answer(reply, answer);
        });
      }
      if (kind.runs(this.ref)) this.offer({ is: "refresh" });
      return "over";
    }
    if (item.is === "report") item.done();
    onBroken(this);
    return "over";
  }
}

/** Whether it may be the first of its actor: a message that answers none. */
const mayBegin = ({ name, data }: NamedCommand): boolean =>
  name === "send" && !("parent" in data && data.parent !== undefined);

/** How long something waits that has failed so many times, 1 or more. */
export const backoff_ms = (times: number): number =>
  limits.redelivery_ms[times - 1] ?? limits.redelivery_ms[2];

const reasonOf = (error: unknown): string =>
  error instanceof Error ? `${error.name}: ${error.message}` : String(error);
