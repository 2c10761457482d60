/**
 * A world without I/O around the real host: a log, a queue, a clock and a provider that do what a
 * network does. Appends are refused, lost before or after they landed; messages come twice, late and
 * out of order; partitions move; workers die between any two awaits. Everything is decided by one
 * seeded source of numbers, so a run that fails can be run again.
 */
import { createHash } from "node:crypto";
import { createHost, type Host } from "../../actors/host.ts";
import type { Delivery, Ports } from "../../actors/ports.ts";
import type { NamedCommand, Reply } from "../../schemas/commands.ts";
import { type Commit, headOf, empty_head } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import { type ActorRef, type By, refKey, uuidv7 } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { ModelError, type ModelDelta } from "../../schemas/models.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { textOf } from "../../streams/texts.ts";
import { steppedClock, type SteppedClock } from "./stepped-clock.ts";

/** How often each trouble happens, between 0 and 1. */
export interface Troubles {
  readonly refusedAppends: number;
  readonly lostAnswers: number;
  readonly redeliveries: number;
  readonly failingCalls: number;
}

interface Message {
  readonly sequence: number;
  readonly ref: ActorRef;
  readonly id: string;
  readonly command: NamedCommand;
  readonly by: By;
  deliveries: number;
  /** Who holds it until when; null while it waits. */
  held: { readonly worker: string; until_ms: number } | null;
  waits_until_ms: number;
  state: "open" | "acked" | "dead";
}

export interface SimulatedWorker {
  readonly id: string;
  readonly host: Host;
  readonly problems: string[];
  /** Its ports never answer again. */
  crash(): void;
}

export interface Simulation {
  readonly clock: SteppedClock;
  readonly replies: Map<string, Reply[]>;
  readonly messages: readonly Message[];
  /** Calls of the model that were begun. */
  readonly calls: { count: number };
  /** Makes ids from the same numbers. */
  readonly ids: () => string;
  commits(ref: ActorRef): readonly Commit[];
  worker(): SimulatedWorker;
  /** Publishes a command; the id may have been used before. */
  publish(ref: ActorRef, command: NamedCommand, id: string, by?: By): void;
  /** Gives the partition to this worker. Who had it is told, or goes on with what it holds. */
  own(worker: SimulatedWorker, told?: boolean): void;
  /** Lets everything happen that is due now, then moves the clock to what is next. */
  step(): Promise<void>;
  /** Steps until every message is done; throws when that takes too long. */
  settle(): Promise<void>;
}

export function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const hours_ms = 3_600_000;
const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export function simulate(random: () => number, troubles: Troubles): Simulation {
  const clock = steppedClock();
  const log = new Map<string, Commit[]>();
  const frames = new Map<string, TokenFrame[]>();
  const messages: Message[] = [];
  const replies = new Map<string, Reply[]>();
  const alive = new Set<string>();
  const died = new Map<string, number>();
  const calls = { count: 0 };
  let sequence = 0;
  let owner: SimulatedWorker | null = null;
  let shaken = true;
  const chance = (share: number): boolean => shaken && random() < share;
  const ids = (): string =>
    uuidv7(1_700_000_000_000 + clock.now(), (bytes) => {
      for (let at = 0; at < bytes.length; at++) bytes[at] = Math.floor(random() * 256);
      return bytes;
    });
  const commits = (ref: ActorRef): Commit[] => log.get(refKey(ref)) ?? [];

  const portsOf = (id: string, problems: string[]): Ports => {
    /** A dead worker's calls never come back. */
    const answer = async <T>(make: () => T): Promise<T> => {
      await Promise.resolve();
      if (!alive.has(id)) return new Promise(() => undefined);
      const made = make();
      await Promise.resolve();
      return alive.has(id) ? made : new Promise(() => undefined);
    };
    const away = (): never => {
      throw new AppError("unavailable", "simulated");
    };
    return {
      log: {
        append: (draft, head) =>
          answer(() => {
            if (chance(troubles.refusedAppends)) away();
            const line = commits(draft.ref);
            const last = line.at(-1);
            const end = last === undefined ? empty_head : headOf(last);
            if (end.sequence !== head.sequence) return { ok: false as const };
            const place = { revision: end.revision + 1, sequence: ++sequence, prev: end.hash };
            const hash = createHash("sha256")
              .update(JSON.stringify([draft, place]))
              .digest("hex");
            const commit: Commit = { ...draft, ...place, hash, erased: false };
            log.set(refKey(draft.ref), [...line, commit]);
            if (chance(troubles.lostAnswers)) away();
            return { ok: true as const, head: headOf(commit) };
          }),
        async *read(ref, after) {
          const found = await answer(() =>
            commits(ref).filter((one) => one.sequence > after.sequence),
          );
          yield* found;
        },
      },
      snapshots: { load: () => answer(() => null), save: () => undefined },
      texts: {
        read: (ref, texts) =>
          answer(() =>
            texts.map(({ message, sequence: where }) => {
              const commit = commits(ref).find((one) => one.sequence === where);
              return commit === undefined ? "" : (textOf(commit, message) ?? "");
            }),
          ),
        remember: () => undefined,
      },
      tokens: {
        publish(ref, frame) {
          if (!alive.has(id)) return;
          const key = `${refKey(ref)} ${frame.t} ${frame.a}`;
          frames.set(key, [...(frames.get(key) ?? []), frame]);
        },
        published: (ref, turn, attempt) =>
          answer(() => {
            const seen = frames.get(`${refKey(ref)} ${turn} ${attempt}`) ?? [];
            const lengths = seen.map(({ d }) => d.length);
            const text = seen.map(({ d }) => d).join("");
            return { text, seq: seen.length, frames: { lengths, times: lengths.map(() => 0) } };
          }),
      },
      workers: {
        id,
        gone: (other) =>
          clock.now() - (died.get(other) ?? Number.POSITIVE_INFINITY) >= limits.worker_ttl_ms,
        changes: () => () => undefined,
      },
      content: { erase: () => answer(() => undefined) },
      replies: {
        answer(subject, reply) {
          if (alive.has(id)) replies.set(subject, [...(replies.get(subject) ?? []), reply]);
        },
      },
      models: {
        route: (model) => ({ provider: "simulated", model: model ?? "default" }),
        list: () => [],
        countTokens: (text) => text.length,
        estimate: (_route, tokensIn, textOut) => ({
          ...{ tokensIn, tokensOut: textOut.length, costUsd: "0.000000", estimated: true },
        }),
        generate: (request, signal) => generate(request.messages.at(-1)?.text ?? "", signal),
      },
      title: (text) => text.slice(0, 20),
      clock: {
        now: () => clock.now(),
        after: (ms, call) => clock.after(ms, () => (alive.has(id) ? call() : undefined)),
      },
      ids,
      report: ({ what, error }) => problems.push(`${what}: ${String(error)}`),
    };
  };

  async function* generate(asked: string, signal: AbortSignal): AsyncGenerator<ModelDelta> {
    calls.count += 1;
    const wait = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        clock.after(ms, resolve);
        signal.addEventListener("abort", () => resolve());
      });
    await wait(random() * 400);
    if (chance(troubles.failingCalls)) {
      throw new ModelError("model_unavailable", "simulated", { retryable: random() < 0.7 });
    }
    const words = `answer to ${asked} `.split(/(?<= )/);
    for (let at = 0; at < words.length * 3; at++) {
      signal.throwIfAborted();
      yield { type: "text", text: words[at % words.length] ?? "" };
      await wait(random() * 700);
    }
    signal.throwIfAborted();
    const usage = { tokensIn: 1, tokensOut: 2, costUsd: "0.000001", estimated: false };
    yield { type: "finish", finish: "stop", usage };
  }

  const deliveryOf = (message: Message, worker: SimulatedWorker): Delivery => {
    const { ref, id, command, by, sequence: where, deliveries } = message;
    const until_ms = clock.now() + limits.ack_wait_ms;
    const held = { worker: worker.id, until_ms };
    message.held = held;
    // A handle dies when its partition is lost, with its worker, and when its time is over.
    const good = (): boolean =>
      alive.has(worker.id) && message.held === held && held.until_ms > clock.now();
    return {
      ...{ ref, id, command, by, deliveries, traceparent: null, partition: 0 },
      reply: id,
      sequence: where,
      ack: () => void (good() && (message.state = "acked")),
      working: () => void (good() && (held.until_ms = clock.now() + limits.ack_wait_ms)),
      nak(ms) {
        if (!good()) return;
        message.held = null;
        message.waits_until_ms = clock.now() + ms;
      },
      dead: () => void (good() && (message.state = "dead")),
    };
  };
  const deliver = (): void => {
    const worker = owner;
    if (worker === null || !alive.has(worker.id)) return;
    const due = messages.filter(
      ({ state, held, waits_until_ms }) =>
        state === "open" &&
        waits_until_ms <= clock.now() &&
        (held === null || held.until_ms <= clock.now() || chance(troubles.redeliveries)),
    );
    if (due.length === 0) return;
    const shuffled = due.sort(() => random() - 0.5);
    const some = shuffled.map((message) => {
      message.deliveries += 1;
      return deliveryOf(message, worker);
    });
    worker.host.deliver(some);
  };

  const simulation: Simulation = {
    ...{ clock, replies, messages, calls, commits, ids },
    worker() {
      const id = ids();
      const problems: string[] = [];
      alive.add(id);
      const host = createHost(portsOf(id, problems));
      const crash = (): void => {
        alive.delete(id);
        died.set(id, clock.now());
      };
      return { id, host, problems, crash };
    },
    publish(ref, command, id, by = { type: "user", id: "ann" }) {
      messages.push({
        ...{ sequence: messages.length + 1, ref, id, command, by, deliveries: 0 },
        ...{ held: null, waits_until_ms: 0, state: "open" },
      });
    },
    own(worker, told = true) {
      const before = owner;
      owner = worker;
      if (before === null || before === worker) return;
      if (!told && alive.has(before.id)) return;
      if (alive.has(before.id)) before.host.lost(0);
      for (const message of messages) {
        if (message.held?.worker === before.id) message.held = null;
      }
    },
    async step() {
      deliver();
      await turns();
      // In small steps, so that redeliveries are looked for in between.
      clock.step(100);
      await turns();
    },
    async settle() {
      shaken = false;
      for (const end_ms = clock.now() + hours_ms; clock.now() < end_ms;) {
        if (messages.every(({ state }) => state !== "open")) return;
        await this.step();
      }
      const open = messages.filter(({ state }) => state === "open");
      const what = open.map(({ command, deliveries }) => [command, deliveries]);
      throw new Error(`not settled: ${JSON.stringify(what)}`);
    },
  };
  return simulation;
}
