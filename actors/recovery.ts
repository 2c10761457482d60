/**
 * Finds out that a turn is run by nobody any more, and takes it over (I7). Its owner has ended, or it
 * is we who lost its run, or its owner lives and says that it does not run it: one that was made to
 * stop, because its partition moved, is found out neither by its entry among the workers nor by a
 * message that we hold ourselves.
 */
import type { TakeoverReason } from "../schemas/events/conversation.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import type { Instance } from "./kind.ts";
import type { Attempt, Ports } from "./ports.ts";

/** How long an owner must have said no: what it is about to begin it cannot know yet. */
const disowned_ms = limits.ack_wait_ms;

export class Recovery {
  readonly #ref: ActorRef;
  readonly #ports: Ports;
  readonly #takeOver: (instance: Instance, reason: TakeoverReason) => Promise<void>;
  /** An attempt that its owner does not run, and since when it says so. */
  #disowned: (Attempt & { readonly since_ms: number }) | null = null;

  constructor(
    ref: ActorRef,
    ports: Ports,
    takeOver: (instance: Instance, reason: TakeoverReason) => Promise<void>,
  ) {
    this.#ref = ref;
    this.#ports = ports;
    this.#takeOver = takeOver;
  }

  /** Takes a running turn over that nobody runs any more. */
  async look(instance: Instance): Promise<void> {
    const { workers } = this.#ports;
    const running = instance.running();
    if (running === null || running.here) return;
    // One of our own id that does not run here was started by an append whose outcome we never saw.
    if (running.owner === workers.id || workers.gone(running.owner)) {
      await this.#takeOver(instance, "owner_gone");
    } else if (this.#isDisowned(running)) {
      await this.#takeOver(instance, "disowned");
    }
  }

  /** Asks the owner of a turn that runs elsewhere; what it says counts at the next look. */
  ask(instance: Instance): void {
    const { workers, clock } = this.#ports;
    const running = instance.running();
    if (running === null || running.here || running.owner === workers.id) return;
    if (workers.gone(running.owner)) return;
    void workers.ask(running.owner, this.#ref, running).then((runs) => {
      if (runs === true) this.#disowned = null;
      if (runs !== false || this.#isSame(running)) return;
      const { turn, attempt } = running;
      this.#disowned = { turn, attempt, since_ms: clock.now() };
    });
  }

  #isSame({ turn, attempt }: Attempt): boolean {
    return this.#disowned?.turn === turn && this.#disowned.attempt === attempt;
  }

  #isDisowned(running: Attempt): boolean {
    const waited_ms = this.#ports.clock.now() - (this.#disowned?.since_ms ?? 0);
    return this.#isSame(running) && waited_ms >= disowned_ms;
  }
}
