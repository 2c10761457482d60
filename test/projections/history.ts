/**
 * Random valid histories of conversations, as commits in the order of the log, from one seed. Kept
 * apart from the actors: what projections make of the log must not depend on who wrote it.
 */
import type { Commit } from "../../schemas/commit.ts";
import { contentFields, type DomainEvent, event } from "../../schemas/events.ts";
import type { ActorRef } from "../../schemas/ids.ts";

export type Random = () => number;

/** mulberry32: small, seeded, good enough for tests. */
export function seeded(seed: number): Random {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

export function uuid(random: Random): string {
  const hex = Array.from({ length: 32 }, () => Math.floor(random() * 16).toString(16)).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`;
}

const words = [
  "Hello",
  "мир",
  "世界",
  "🙂",
  "a\0b",
  "it's",
  '"quoted"',
  "{1,2}",
  "\\x",
  "NULL",
  "",
];
const pick = <T>(random: Random, from: readonly T[]): T => {
  const picked = from[Math.floor(random() * from.length)];
  if (picked === undefined) throw new RangeError("nothing to pick from");
  return picked;
};
const text = (random: Random): string =>
  Array.from({ length: 1 + Math.floor(random() * 6) }, () => pick(random, words)).join(" ");

interface Turn {
  readonly turn: string;
  readonly message: string;
  user: string;
  attempt: number;
}

/** One conversation that yields the events of its next commit; null when it is over. */
function conversation(random: Random, owner: string): () => DomainEvent[] | null {
  const messages: string[] = [];
  const answers: string[] = [];
  const shared = new Set<string>();
  const queue: Turn[] = [];
  let head: string | null = null;
  let running: Turn | null = null;
  let state: "absent" | "active" | "archived" | "deleted" = "absent";
  const usage = () => ({
    tokensIn: Math.floor(random() * 5_000),
    tokensOut: Math.floor(random() * 500),
    costUsd: `${Math.floor(random() * 3)}.${String(Math.floor(random() * 1e6)).padStart(6, "0")}`,
  });
  const frames = { lengths: [], times: [] };

  const started = (one: Turn): DomainEvent => {
    running = one;
    one.attempt = 1;
    const { turn, message, user } = one;
    const call = { owner: "worker-1", provider: "scripted", model: "m1" } as const;
    return event("turn.started", { turn, message, user, attempt: 1, ...call });
  };
  const ending = (one: Turn, how: "completed" | "cancelled" | "failed"): DomainEvent[] => {
    const { turn, message, attempt } = one;
    const used = usage();
    const end = { turn, message, attempt, seq: 3, text: text(random), frames, usage: used };
    const outcome = how;
    const attempted = event("model.attempted", {
      ...{ turn, attempt: Math.max(attempt, 1), provider: "scripted", model: "m1", outcome },
      ...{ usage: used, estimated: random() < 0.5, first_token_ms: 5, total_ms: null },
      code: how === "failed" ? "model_timeout" : null,
      detail: text(random),
    });
    const ended =
      how === "completed"
        ? event("turn.completed", { ...end, finish: pick(random, ["stop", "length"] as const) })
        : how === "cancelled"
          ? event("turn.cancelled", { ...end, reason: "asked" })
          : event("turn.failed", {
              ...end,
              code: "model_timeout",
              detail: pick(random, ["", "late"]),
            });
    return attempt > 0 ? [attempted, ended] : [ended];
  };
  const next = (): DomainEvent[] => {
    running = null;
    const waiting = queue.shift();
    return waiting === undefined ? [] : [started(waiting)];
  };

  return () => {
    if (state === "deleted") return null;
    const roll = random();
    if (state === "absent") {
      state = "active";
      return [
        event("conversation.started", { origin: "chat", owner, model: null, overlap: "queue" }),
      ];
    }
    if (roll < 0.02) {
      state = "deleted";
      const ended = running === null ? [] : ending(running, "cancelled");
      return [...ended, event("conversation.deleted", {})];
    }
    if (roll < 0.06) {
      state = state === "active" ? "archived" : "active";
      return [event(state === "active" ? "conversation.restored" : "conversation.archived", {})];
    }
    if (roll < 0.12) return [event("conversation.titled", { title: text(random), source: "self" })];
    if (roll < 0.15)
      return [event("conversation.configured", { model: pick(random, [null, "m2"]) })];
    if (roll < 0.17) {
      const gone = pick(random, [null, ...shared]);
      if (gone !== null) {
        shared.delete(gone);
        return [event("conversation.unshared", { user: gone })];
      }
      const user = `user-${4 + Math.floor(random() * 6)}`;
      shared.add(user);
      return [event("conversation.shared", { user, role: pick(random, ["editor", "viewer"]) })];
    }
    if (roll < 0.19 && answers.length > 0) {
      const rating = pick(random, ["up", "down", null] as const);
      return [
        event("message.rated", { message: pick(random, answers), rating, comment: text(random) }),
      ];
    }
    if (roll < 0.2 && messages.length > 0) {
      head = pick(random, messages);
      return [event("head.moved", { message: head })];
    }
    if (running !== null && roll < 0.45) {
      const { turn, attempt } = running;
      const some = { first: 1, seq: 2, text: text(random), frames };
      return [event("turn.checkpointed", { turn, attempt, ...some })];
    }
    if (running !== null && roll < 0.5) {
      const one = running;
      one.attempt += 1;
      const call = { owner: "worker-2", provider: "scripted", model: "m3" };
      const { turn, attempt } = one;
      return [event("turn.restarted", { turn, attempt, ...call, reason: "owner_gone" })];
    }
    if (running !== null && roll < 0.7) {
      return [...ending(running, pick(random, ["completed", "cancelled", "failed"])), ...next()];
    }
    if (queue.length > 0 && roll < 0.73) {
      const [gone] = queue.splice(Math.floor(random() * queue.length), 1);
      if (gone !== undefined) return ending(gone, "cancelled");
    }
    const user = uuid(random);
    const joined = random() < 0.3 ? queue.at(-1) : undefined;
    // A message that joins a waiting turn follows the one it joins: the answer comes after both.
    const parent = joined?.user ?? head;
    messages.push(user);
    head = user;
    const added = event("message.added", {
      message: user,
      parent,
      role: "user",
      text: text(random),
    });
    if (joined !== undefined) {
      joined.user = user;
      head = joined.message;
      const { turn, message } = joined;
      return [added, event("turn.queued", { turn, message, user, model: null })];
    }
    const one: Turn = { turn: uuid(random), message: uuid(random), user, attempt: 0 };
    messages.push(one.message);
    answers.push(one.message);
    head = one.message;
    if (running === null) return [added, started(one)];
    queue.push(one);
    const { turn, message } = one;
    return [added, event("turn.queued", { turn, message, user, model: null })];
  };
}

/**
 * `commits` commits of `conversations` conversations at a time, interleaved; a new one begins when
 * one is deleted. Sequences 1, 2, 3 …
 */
export function randomHistory(seed: number, commits: number, conversations = 4): Commit[] {
  const random = seeded(seed);
  const begin = (index: number) => ({
    ref: {
      tenant: index % 2 === 0 ? "acme" : "beta",
      kind: "conversation",
      id: uuid(random),
    } as const,
    revision: 0,
    hash: "0".repeat(64),
    next: conversation(random, `user-${index % 3}`),
  });
  const actors = Array.from({ length: conversations }, (_, index) => begin(index));
  const history: Commit[] = [];
  while (history.length < commits) {
    const actor = pick(random, actors);
    const events = actor.next();
    if (events === null) {
      actors[actors.indexOf(actor)] = begin(history.length);
      continue;
    }
    const sequence = history.length + 1;
    const placed = place(actor.ref, events, actor.revision + 1, sequence, actor.hash, random);
    // Of several people: each has a rating of their own.
    const commit = { ...placed, by: { type: "user", id: `user-${sequence % 3}` } } as const;
    history.push(commit);
    actor.revision += events.length;
    actor.hash = commit.hash;
  }
  return history;
}

/** A commit around events; one millisecond per sequence. */
export function place(
  ref: ActorRef,
  events: readonly DomainEvent[],
  revision: number,
  sequence: number,
  prev: string,
  random: Random,
): Commit {
  return {
    ref,
    commit: uuid(random),
    command: uuid(random),
    by: { type: "user", id: "user-1" },
    at: new Date(1_700_000_000_000 + sequence).toISOString(),
    traceparent: null,
    events,
    revision,
    sequence,
    prev,
    hash: sequence.toString(16).padStart(64, "0"),
    erased: false,
  };
}

/** The same commit as it reads once its actor's key is gone. */
export function erased(commit: Commit): Commit {
  const events = commit.events.map((one) => {
    const blank = contentFields[one.type] ?? {};
    // The blanks have the types of the fields that they stand for.
    return { ...one, data: { ...one.data, ...blank } } as DomainEvent;
  });
  return { ...commit, events, erased: true };
}
