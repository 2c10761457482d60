/**
 * What the host must know of a kind of actor: how one of it is folded, woken, asked and ended. The
 * statechart library stays behind this.
 */
import type { NamedCommand, WorkerCommand } from "../schemas/commands.ts";
import type { Commit } from "../schemas/commit.ts";
import type { ErrorCode } from "../schemas/errors.ts";
import type { TakeoverReason } from "../schemas/events/conversation.ts";
import type { DomainEvent } from "../schemas/events.ts";
import type { ActorRef, By } from "../schemas/ids.ts";
import type { Attempt } from "./ports.ts";

/** What the host tells a decision beside the command. */
export interface Asking {
  readonly id: string;
  readonly by: By;
  /** Its gateway says that the user may act on what integrations of the tenant began. */
  readonly manages?: boolean;
  /** The actor has as many commits as it may have. */
  readonly full: boolean;
  /** This worker holds as many commands open as it may hold. */
  readonly overloaded: boolean;
  /** Of these, so many are the tenant's that others would find no place. */
  readonly crowded?: boolean;
  /** This worker runs as many turns of the tenant as it may run. */
  readonly busy: boolean;
  /** When it is decided, ISO. */
  readonly at: string;
}

/** Events that may follow (none: already so), or a refusal, which is an answer. */
export type Answer =
  | { readonly is: "events"; readonly events: readonly DomainEvent[] }
  | { readonly is: "refused"; readonly code: ErrorCode; readonly detail?: string };

/** Who runs the effect of an active state. */
export interface Running extends Attempt {
  readonly owner: string;
  /** Whether it runs here, in this process, and for this very attempt. */
  readonly here: boolean;
}

/** Something to ask of an actor later; one per key, a later one replaces it. */
export interface Timer {
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly at_ms: number;
  readonly command: WorkerCommand;
}

/** One actor in memory. It begins inert: it folds, and no effect starts before `wake`. */
export interface Instance {
  /** Applies a commit as a whole. Throws `ForbiddenEvent` when the machine does not allow it. */
  fold(commit: Commit): void;
  /** Starts the effects of the active states, and from now on those of every state entered. */
  wake(): void;
  readonly awake: boolean;
  /**
   * Commands whose repeats are known by their ids, the newest. Where it is finite, an older one must
   * be known by what it says.
   */
  readonly commands_max: number;
  /** What `create` takes; plain JSON. */
  state(): unknown;
  /**
   * Decides; every event it answers may follow the one before. A decision that ends a running
   * effect freezes it: call `thaw` when it was not appended. Throws `AppError("unavailable")`.
   */
  decide(command: NamedCommand, asking: Asking): Promise<Answer>;
  thaw(): void;
  /**
   * The number of the last event that changed what a command changes, for those that shall only be
   * done at a revision; null where that is the actor's last event of all.
   */
  revisionOf(command: NamedCommand): number | null;
  /** Whether somebody may know what came of an earlier command; to others it does not exist (I10). */
  tells(by: By, manages?: boolean): boolean;
  /** Whether the message of a command is held open, and for which kind of turn. */
  leaseOf(command: string): "running" | "queued" | "none";
  running(): Running | null;
  /** The command by which this worker takes a running effect over; null when nothing runs. */
  takeover(reason: TakeoverReason): NamedCommand | null;
  /** Whether it was deleted: nothing of it is kept beside the log. */
  readonly deleted: boolean;
  /** What shall be asked of it when nothing else comes; null for nothing. */
  timer(): Timer | null;
  /** Stops an effect of ours that the state, loaded anew, no longer names. */
  dropStale(): void;
  /** Leaves memory, but lets a running effect go on (or stay frozen) until it is loaded again. */
  detach(): void;
}

/** The way from an effect to its own actor. */
export interface Mailboxes {
  /** Takes a report; resolves when it was decided on or dropped, and calls `taken` just then. */
  report(ref: ActorRef, report: NamedCommand, taken?: () => void): Promise<void>;
  /** Something beside the log has changed: leases are looked at again. */
  refresh(ref: ActorRef): void;
}

export interface Kind {
  /** A new inert instance that has folded nothing, or all that made the state of a snapshot. */
  create(ref: ActorRef, state?: unknown): Instance;
  /** Effects that run here now. */
  effects(): number;
  /** Those of one tenant. */
  effectsOf(tenant: string): number;
  /** Whether one of this actor does; that very attempt when it is named. */
  runs(ref: ActorRef, attempt?: Attempt): boolean;
  /** Stops that one. */
  halt(ref: ActorRef): void;
}

/** The log holds an event that the machine does not allow there. */
export class ForbiddenEvent extends Error {
  constructor(ref: ActorRef, type: string, sequence: number) {
    super(`${type} at EVENTS sequence ${sequence} may not follow in ${ref.kind} ${ref.id}`);
    this.name = "ForbiddenEvent";
  }
}
