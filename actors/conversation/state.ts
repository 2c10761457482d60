/**
 * A conversation's state: structure, never text. Of a message it keeps the parent, the role and the
 * EVENTS sequence of the commit that holds its text; of a turn who runs it and which commands wait
 * for its end. `evolve` is the only thing that makes a state, and it is total: the machine decides
 * whether an event may come, `evolve` says what it changes (I4).
 */
import type { Overlap } from "../../schemas/events/fields.ts";
import type { ConversationEventType, EventData } from "../../schemas/events.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { no_shares, type Shares, withShare } from "../../schemas/sharing.ts";
import type { Sampling } from "../../schemas/sampling.ts";
import type { TextRef } from "../ports.ts";
import { empty_table, get, put, type Table } from "../table.ts";

export interface MessageNode {
  readonly parent: string | null;
  readonly role: "user" | "assistant" | "system";
  /** The EVENTS sequence of the commit with its text; 0 while an answer has none. */
  readonly sequence: number;
}

export interface QueuedTurn {
  readonly turn: string;
  /** The answer's message, named before it exists. */
  readonly message: string;
  /** The message that it answers. */
  readonly user: string;
  /** The model wished for; null for the conversation's. */
  readonly model: string | null;
  /** The commands whose messages are held open until it ends: its leases. */
  readonly commands: readonly string[];
}

export interface RunningTurn extends QueuedTurn {
  readonly model: string;
  readonly provider: string;
  readonly attempt: number;
  readonly owner: string;
  /** When its first attempt began, ISO. */
  readonly since: string;
  /** EVENTS sequences of this attempt's checkpoints. */
  readonly checkpoints: readonly number[];
}

export interface ConversationState {
  readonly ref: ActorRef;
  readonly owner: string | null;
  /** Whom it is shared with. */
  readonly shares: Shares;
  /** Ratings so far, those that were taken back included. */
  readonly ratings: number;
  readonly model: string | null;
  readonly overlap: Overlap;
  /** It is one request of a program, to be answered like this; null when it is anything else. */
  readonly request: Sampling | null;
  readonly titled: boolean;
  readonly messages: Table<MessageNode>;
  /** The chosen leaf: what the next message follows. */
  readonly head: string | null;
  readonly running: RunningTurn | null;
  readonly queue: readonly QueuedTurn[];
  /** The command whose message is held open until the content is erased. */
  readonly deletedBy: string | null;
  /** When anything last happened, ISO. */
  readonly at: string;
}

/** An event as the machine takes it: with its place in the log and the command that made it. */
export type ConversationEvent = {
  [T in ConversationEventType]: {
    readonly type: T;
    readonly data: EventData<T>;
    readonly sequence: number;
    readonly command: string;
    /** When its commit was decided, ISO. */
    readonly at: string;
  };
}[ConversationEventType];

export const initialState = (ref: ActorRef): ConversationState => ({
  ref,
  owner: null,
  shares: no_shares,
  ratings: 0,
  model: null,
  overlap: "queue",
  request: null,
  titled: false,
  messages: empty_table,
  head: null,
  running: null,
  queue: [],
  deletedBy: null,
  at: "",
});

/** The state after an event that the machine has allowed. */
export function evolve(state: ConversationState, event: ConversationEvent): ConversationState {
  return { ...changed(state, event), at: event.at };
}

function changed(state: ConversationState, event: ConversationEvent): ConversationState {
  switch (event.type) {
    case "conversation.started": {
      const { owner, model, overlap, request = null } = event.data;
      return { ...state, owner, model, overlap, request };
    }
    case "conversation.titled":
      return { ...state, titled: true };
    case "conversation.configured": {
      const { model = state.model, overlap = state.overlap } = event.data;
      return { ...state, model, overlap };
    }
    case "conversation.shared": {
      const { user, role } = event.data;
      return { ...state, shares: withShare(state.shares, user, role) };
    }
    case "conversation.unshared":
      return { ...state, shares: withShare(state.shares, event.data.user, null) };
    case "message.rated":
      return { ...state, ratings: state.ratings + 1 };
    case "conversation.archived":
    case "model.attempted":
      return state;
    case "conversation.restored":
      // Who takes a request out of the archive goes on with it as a conversation.
      return { ...state, request: null };
    case "conversation.deleted":
      return { ...state, deletedBy: event.command };
    case "message.added": {
      const { message, parent, role } = event.data;
      const node = { parent, role, sequence: event.sequence };
      return { ...state, messages: put(state.messages, message, node), head: message };
    }
    case "head.moved":
      return { ...state, head: event.data.message };
    case "turn.queued":
      return queued(state, event.data, event.command);
    case "turn.started": {
      const { turn, message, user, model, provider, attempt, owner } = event.data;
      const waiting = state.queue.find((queuedTurn) => queuedTurn.turn === turn);
      const commands = waiting?.commands ?? [event.command];
      const running = { turn, message, user, model, provider, attempt, owner, commands };
      const since = event.at;
      return {
        ...state,
        messages: put(state.messages, message, answerTo(user)),
        // A queued turn became the head when it was queued, and the head may have moved since.
        head: waiting === undefined ? message : state.head,
        running: { ...running, since, checkpoints: [] },
        queue: state.queue.filter((queuedTurn) => queuedTurn.turn !== turn),
      };
    }
    case "turn.restarted": {
      if (state.running === null) return state;
      const { attempt, owner, provider, model } = event.data;
      return {
        ...state,
        running: { ...state.running, attempt, owner, provider, model, checkpoints: [] },
      };
    }
    case "turn.checkpointed": {
      if (state.running === null) return state;
      const checkpoints = [...state.running.checkpoints, event.sequence];
      return { ...state, running: { ...state.running, checkpoints } };
    }
    case "turn.completed":
    case "turn.cancelled":
    case "turn.failed": {
      const { turn, message } = event.data;
      const node = get(state.messages, message);
      return {
        ...state,
        messages:
          node === undefined
            ? state.messages
            : put(state.messages, message, { ...node, sequence: event.sequence }),
        running: state.running?.turn === turn ? null : state.running,
        queue: state.queue.filter((queuedTurn) => queuedTurn.turn !== turn),
      };
    }
  }
}

const answerTo = (user: string): MessageNode => ({ parent: user, role: "assistant", sequence: 0 });

/** A new queued turn, or one that another message joined. */
function queued(
  state: ConversationState,
  data: EventData<"turn.queued">,
  command: string,
): ConversationState {
  const { turn, message, user, model } = data;
  const before = state.queue.find((queuedTurn) => queuedTurn.turn === turn);
  const entry = { turn, message, user, model, commands: [...(before?.commands ?? []), command] };
  return {
    ...state,
    messages: put(state.messages, message, answerTo(user)),
    head: message,
    queue:
      before === undefined
        ? [...state.queue, entry]
        : state.queue.map((queuedTurn) => (queuedTurn === before ? entry : queuedTurn)),
  };
}

/** The messages a model reads to answer `user`, oldest first: the newest of the path that fit. */
export function pathTo(
  state: ConversationState,
  user: string,
): (TextRef & { role: MessageNode["role"] })[] {
  const path: (TextRef & { role: MessageNode["role"] })[] = [];
  let id: string | null = user;
  while (id !== null && path.length < limits.context_messages_max) {
    const node: MessageNode | undefined = get(state.messages, id);
    if (node === undefined) break;
    if (node.sequence > 0) path.push({ message: id, sequence: node.sequence, role: node.role });
    id = node.parent;
  }
  return path.toReversed();
}

/** Whether the message of `command` is still held open, and for which kind of turn. */
export function leaseOf(state: ConversationState, command: string): "running" | "queued" | "none" {
  if (state.running?.commands.includes(command) === true) return "running";
  return state.queue.some(({ commands }) => commands.includes(command)) ? "queued" : "none";
}
