/**
 * The conversation as a kind of actor: the machine folds inert, and wakes as a live XState actor that
 * runs the effects of its active states (I4).
 */
import { strict as assert } from "node:assert";
import {
  type Actor as XActor,
  createActor,
  type EventObject,
  fromCallback,
  type Snapshot,
  transition,
} from "xstate";
import { isConversationCommand, type NamedCommand } from "../../schemas/commands.ts";
import type { Commit } from "../../schemas/commit.ts";
import type { TakeoverReason } from "../../schemas/events/conversation.ts";
import type { DomainEvent } from "../../schemas/events.ts";
import { type ActorRef, refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import {
  type Answer,
  type Asking,
  ForbiddenEvent,
  type Instance,
  type Kind,
  type Mailboxes,
} from "../kind.ts";
import type { Ports } from "../ports.ts";
import { accessOf } from "./access.ts";
import { decide } from "./decide.ts";
import type { Conversation, DecisionContext, Progress } from "./decision.ts";
import { startErase } from "../erase.ts";
import { type Run, startRun } from "./effects.ts";
import { Runs } from "./runs.ts";
import { conversationMachine, type EraseInput, inputOf } from "./machine.ts";
import { readPrompt } from "./prompt.ts";
import { type ConversationEvent, leaseOf } from "./state.ts";
import type { TurnInput } from "./turn-input.ts";

type Machine = typeof conversationMachine;
type Actor = XActor<Machine>;

interface Parts {
  readonly ports: Ports;
  readonly live: Machine;
  readonly runs: Runs;
  /** Deleted conversations whose content is erased. */
  readonly erased: Set<string>;
  /** While it holds, an XState actor that stops leaves its run alone. */
  readonly keeping: { runs: boolean };
}

export function conversationKind(ports: Ports, mailboxes: Mailboxes): Kind {
  const runs = new Runs();
  const erased = new Set<string>();
  const keeping = { runs: false };

  const generate = (input: TurnInput): (() => void) => {
    const { ref, turn, attempt } = input;
    const before = runs.get(ref);
    let run = before?.run;
    if (before === undefined || before.turn !== turn || before.attempt !== attempt) {
      run = startRun(ports, input, (...sent) => mailboxes.report(ref, ...sent));
      runs.add(ref, { turn, attempt, run });
    }
    return () => {
      if (!keeping.runs && run !== undefined) runs.stop(ref, run);
    };
  };
  const erase = ({ ref }: EraseInput): (() => void) => {
    const stop = startErase(ports, ref, () => {
      erased.add(refKey(ref));
      mailboxes.refresh(ref);
    });
    return () => {
      stop();
      erased.delete(refKey(ref));
    };
  };
  // Provided once: every `provide` builds the whole tree of states anew.
  const live = conversationMachine.provide({
    actors: {
      generate: fromCallback<EventObject, TurnInput>(({ input }) => generate(input)),
      erase: fromCallback<EventObject, EraseInput>(({ input }) => erase(input)),
    },
  });
  const parts = { ports, live, runs, erased, keeping };
  return {
    create: (ref, state) => createInstance(parts, ref, state),
    effects: () => runs.size,
    effectsOf: (tenant) => runs.of(tenant),
    runs(ref, asked) {
      const found = runs.get(ref);
      if (found === undefined || asked === undefined) return found !== undefined;
      return found.turn === asked.turn && found.attempt === asked.attempt;
    },
    halt: (ref) => runs.stop(ref),
  };
}

function createInstance(
  { ports, live, runs, erased, keeping }: Parts,
  ref: ActorRef,
  state: unknown,
): Instance {
  const key = refKey(ref);
  // A snapshot is taken as it is: it was made by this very code, or it is not given to us.
  const from = state === undefined ? { input: { ref } } : { snapshot: state as Snapshot<unknown> };
  let actor = started(createActor(conversationMachine, from));
  let awake = false;

  const conversation = (): Conversation => lifeAndState(actor);
  /** The run of the turn that runs, when it runs here. */
  const current = (): Run | null => {
    const { running } = actor.getSnapshot().context;
    const found = runs.get(ref);
    const ours =
      running !== null && found?.turn === running.turn && found.attempt === running.attempt;
    return ours && running.owner === ports.workers.id ? found.run : null;
  };
  /** How far the running turn has come, from its own effect or from what others can see of it. */
  const progress = async (): Promise<Progress> => {
    const run = current();
    if (run !== null) return run.freeze();
    const { state } = conversation();
    const { running } = state;
    assert(running !== null, "only a decision on a running turn asks for its progress");
    const { turn, attempt, checkpoints } = running;
    const [published, prompt] = await Promise.all([
      ports.tokens.published(ref, turn, attempt, checkpoints),
      readPrompt(ports.texts, inputOf(state)),
    ]);
    const tokensIn = prompt.reduce((sum, { text }) => sum + ports.models.countTokens(text), 0);
    const { estimated, ...usage } = ports.models.estimate(running, tokensIn, published.text);
    const call = { usage, estimated, first_token_ms: null, total_ms: null };
    return { ...published, call, elsewhere: true };
  };

  return {
    fold({ events, sequence, command, at }: Commit) {
      for (const event of events) {
        const before = actor.getSnapshot();
        actor.send(folded(event, { sequence, command, at }));
        const after = actor.getSnapshot();
        if (after === before || after.status === "error") {
          throw new ForbiddenEvent(ref, event.type, sequence);
        }
      }
    },
    wake() {
      if (awake) return;
      awake = true;
      const snapshot = actor.getPersistedSnapshot();
      actor.stop();
      actor = started(createActor(live, { snapshot }));
    },
    get awake() {
      return awake;
    },
    state: () => actor.getPersistedSnapshot(),
    async decide(command: NamedCommand, asking: Asking): Promise<Answer> {
      if (!isConversationCommand(command)) return { is: "refused", code: "unknown_command" };
      const { id, ...more } = asking;
      const context: DecisionContext = {
        ...{ ...more, command: id, ids: ports.ids, worker: ports.workers.id },
        route: (model) => ports.models.route(model),
        ...(ports.disallows === undefined ? {} : { disallows: ports.disallows }),
        progress: null,
      };
      let decision = decide(conversation(), command, context);
      if (decision.is === "progress") {
        decision = decide(conversation(), command, { ...context, progress: await progress() });
        assert(decision.is !== "progress", "a decision asks for progress once");
      }
      if (decision.is === "events") assertAllowed(actor, decision.events, id, asking.at);
      return decision;
    },
    // Bounded by what `full` refuses.
    commands_max: Number.POSITIVE_INFINITY,
    revisionOf: () => null,
    thaw() {
      current()?.thaw();
    },
    tells: (by, manages) => accessOf(actor.getSnapshot().context, by, manages) !== null,
    leaseOf(command) {
      const { context } = actor.getSnapshot();
      if (context.deletedBy === command && !erased.has(key)) return "running";
      return leaseOf(context, command);
    },
    running() {
      const { running } = actor.getSnapshot().context;
      if (running === null) return null;
      const { owner, turn, attempt } = running;
      return { owner, turn, attempt, here: current() !== null };
    },
    takeover(reason: TakeoverReason) {
      const { running } = actor.getSnapshot().context;
      if (running === null) return null;
      const { turn, attempt } = running;
      return { name: "takeover", data: { turn, attempt, reason } };
    },
    get deleted() {
      return conversation().life === "deleted";
    },
    timer() {
      const { life, state } = conversation();
      if (life !== "active") return null;
      const at_ms = Date.parse(state.at) + limits.conversation_idle_ms;
      return { key: "idle", at_ms, command: { name: "idle", data: {} } };
    },
    dropStale() {
      if (current() === null) runs.stop(ref);
    },
    detach() {
      keeping.runs = true;
      actor.stop();
      keeping.runs = false;
    },
  };
}

/** What an XState actor throws is met by `fold`; without an observer it would end the process. */
function started(actor: Actor): Actor {
  actor.subscribe({ error: () => undefined });
  return actor.start();
}

function lifeAndState(actor: Actor): Conversation {
  const { value, context } = actor.getSnapshot();
  return { life: typeof value === "string" ? value : "active", state: context };
}

/** Where an event stands in the log. */
type Where = Pick<ConversationEvent, "sequence" | "command" | "at">;

// The pair of type and data is that of the event; the union cannot say so for a spread.
const folded = ({ type, data }: DomainEvent, where: Where) =>
  ({ type, data, ...where }) as ConversationEvent;

/** What `decide` answers and the machine refuses is a bug of ours, and never reaches the log. */
function assertAllowed(
  actor: Actor,
  events: readonly DomainEvent[],
  command: string,
  at: string,
): void {
  let snapshot = actor.getSnapshot();
  for (const [index, event] of events.entries()) {
    const input = folded(event, { sequence: 0, command, at });
    assert(snapshot.can(input), `a decision made ${event.type}, which may not follow here`);
    // A pure transition costs ten times what `can` does, and after the last event nobody asks.
    if (index < events.length - 1) [snapshot] = transition(actor.logic, snapshot, input);
  }
}
