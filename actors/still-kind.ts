/**
 * A kind of actor in which nothing runs: it needs no live XState actor, since its machine folds by
 * pure transitions, asleep and awake alike (I4). What such a kind brings is its machine, its decisions
 * and whom it tells; if it can be deleted, its content is erased while it is awake, and the message of
 * the deletion is held until that is done (I1).
 */
import { strict as assert } from "node:assert";
import {
  type AnyStateMachine,
  type EventFromLogic,
  type Snapshot,
  type SnapshotFrom,
  transition,
} from "xstate";
import type { NamedCommand } from "../schemas/commands.ts";
import type { Commit } from "../schemas/commit.ts";
import type { DomainEvent } from "../schemas/events.ts";
import { type ActorRef, type By, refKey } from "../schemas/ids.ts";
import { startErase } from "./erase.ts";
import {
  type Answer,
  type Asking,
  ForbiddenEvent,
  type Instance,
  type Kind,
  type Mailboxes,
} from "./kind.ts";
import type { Ports } from "./ports.ts";

export type Beginning =
  | { readonly input: { readonly ref: ActorRef } }
  | { readonly snapshot: Snapshot<unknown> };

export interface Still<M extends AnyStateMachine, C extends NamedCommand> {
  readonly machine: M;
  /** Its state in the beginning, or behind a snapshot. */
  begin(from: Beginning): SnapshotFrom<M>;
  /** Commands whose repeats are known by their ids. */
  readonly commands_max: number;
  takes(command: NamedCommand): command is C;
  /** Pure; every event it answers may follow the one before. */
  decide(snapshot: SnapshotFrom<M>, command: C, asking: Asking): Answer;
  tells(ref: ActorRef, by: By): boolean;
  /** The revision of what a command changes; 0 while nothing has. */
  revisionOf(snapshot: SnapshotFrom<M>, command: C): number | null;
  /** The command that deleted it; null while it is there. */
  deletedBy(snapshot: SnapshotFrom<M>): string | null;
}

/** An event as such a machine takes it. */
export interface Folded {
  readonly command: string;
  readonly at: string;
  /** Who asked for it. */
  readonly by: By;
}

/** What erasing a deleted actor needs; a kind that is never deleted has none. */
export interface Eraser {
  readonly ports: Pick<Ports, "content" | "clock" | "report">;
  readonly mailboxes: Pick<Mailboxes, "refresh">;
}

export function stillKind<M extends AnyStateMachine, C extends NamedCommand>(
  still: Still<M, C>,
  eraser: Eraser | null,
): Kind {
  /** Deleted actors whose content is erased. */
  const erased = new Set<string>();
  const erase = (ref: ActorRef): (() => void) => {
    assert(eraser !== null, `a ${ref.kind} is never deleted`);
    const stop = startErase(eraser.ports, ref, () => {
      erased.add(refKey(ref));
      eraser.mailboxes.refresh(ref);
    });
    return () => {
      stop();
      erased.delete(refKey(ref));
    };
  };
  return {
    create: (ref, state) => createInstance(still, ref, state, { erase, erased }),
    effects: () => 0,
    effectsOf: () => 0,
    runs: () => false,
    halt: () => undefined,
  };
}

interface Erasing {
  readonly erase: (ref: ActorRef) => () => void;
  readonly erased: ReadonlySet<string>;
}

function createInstance<M extends AnyStateMachine, C extends NamedCommand>(
  still: Still<M, C>,
  ref: ActorRef,
  state: unknown,
  { erase, erased }: Erasing,
): Instance {
  const { machine } = still;
  // A snapshot is taken as it is: it was made by this very code, or it is not given to us.
  let snapshot = still.begin(
    state === undefined ? { input: { ref } } : { snapshot: state as Snapshot<unknown> },
  );
  let awake = false;
  let stopErasing: (() => void) | null = null;
  const settle = (): void => {
    if (awake && still.deletedBy(snapshot) !== null) stopErasing ??= erase(ref);
  };
  /** The state after an event; null when it may not follow. */
  const next = (
    before: SnapshotFrom<M>,
    { type, data }: DomainEvent,
    more: Folded,
  ): SnapshotFrom<M> | null => {
    // The pair of type and data is that of the event; one of another kind is refused by the machine.
    const [after] = transition(machine, before, { type, data, ...more } as EventFromLogic<M>);
    return after === before ? null : after;
  };
  return {
    fold({ events, sequence, command, at, by }: Commit) {
      for (const event of events) {
        const after = next(snapshot, event, { command, at, by });
        if (after === null) throw new ForbiddenEvent(ref, event.type, sequence);
        snapshot = after;
      }
      settle();
    },
    wake() {
      awake = true;
      settle();
    },
    get awake() {
      return awake;
    },
    commands_max: still.commands_max,
    get deleted() {
      return still.deletedBy(snapshot) !== null;
    },
    state: () => machine.getPersistedSnapshot(snapshot),
    decide(command: NamedCommand, asking: Asking): Promise<Answer> {
      if (!still.takes(command)) {
        return Promise.resolve({ is: "refused", code: "unknown_command" });
      }
      const answer = still.decide(snapshot, command, asking);
      let after = snapshot;
      for (const event of answer.is === "events" ? answer.events : []) {
        const allowed = next(after, event, { command: asking.id, at: asking.at, by: asking.by });
        // What is decided and the machine refuses is a bug of ours, and never reaches the log.
        assert(allowed !== null, `${event.type} may not follow here`);
        after = allowed;
      }
      return Promise.resolve(answer);
    },
    tells: (by) => still.tells(ref, by),
    revisionOf: (command) => (still.takes(command) ? still.revisionOf(snapshot, command) : null),
    leaseOf: (command) =>
      still.deletedBy(snapshot) === command && !erased.has(refKey(ref)) ? "running" : "none",
    running: () => null,
    takeover: () => null,
    timer: () => null,
    thaw: () => undefined,
    dropStale: () => undefined,
    detach() {
      stopErasing?.();
      stopErasing = null;
    },
  };
}
