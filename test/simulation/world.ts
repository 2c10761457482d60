/**
 * A world without I/O around the real host: requests travel, arrive or are lost, are answered or the
 * answer is lost; processes stand still, drain, or die between any two awaits. Everything is decided
 * by one source of chance, so a run that fails can be run again.
 */
import { createHost, type Host } from "../../actors/host.ts";
import type { Ports } from "../../actors/ports.ts";
import type { NamedCommand, Reply } from "../../schemas/commands.ts";
import { AppError } from "../../schemas/errors.ts";
import { type ActorRef, type By, refKey, uuidv7 } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { textOf } from "../../streams/log/texts.ts";
import { createLanes } from "./lanes.ts";
import { createMembership } from "./membership.ts";
import { createProvider, type ModelCall } from "./provider.ts";
import { createQueue, type Message } from "./queue.ts";
import type { Random } from "./random.ts";
import { createSchedule, type Life, type Schedule } from "./schedule.ts";
import { createStored, type Stored } from "./stored.ts";

/** How often each trouble happens, between 0 and 1. */
export interface Troubles {
  /** Requests that never arrive, and answers that never come back. */
  readonly lost: number;
  /** Messages that take long. */
  readonly late: number;
  /** Calls of the model that fail. */
  readonly failing: number;
}

export const no_troubles: Troubles = { lost: 0, late: 0, failing: 0 };

export interface SimulatedWorker {
  readonly id: string;
  readonly life: Life;
  readonly host: Host;
  /** Ends at once: nothing that it waited for ever comes. */
  crash(): void;
  /** Stands still (SIGSTOP, then SIGCONT). */
  pause(ms: number): void;
  /** Ends in order. */
  drain(ms: number): Promise<void>;
}

export interface Answered {
  readonly reply: Reply;
  /** Commits of its actor when it was sent. */
  readonly commits: number;
}

export interface World {
  readonly schedule: Schedule;
  readonly stored: Stored;
  readonly calls: readonly ModelCall[];
  readonly messages: readonly Message[];
  /** By the sequence of the message. */
  readonly replies: ReadonlyMap<number, readonly Answered[]>;
  /** What workers said that somebody should look at. */
  readonly problems: readonly string[];
  /** Workers that live. */
  readonly workers: readonly SimulatedWorker[];
  readonly ids: () => string;
  /** From now on nothing goes wrong any more. */
  calm(): void;
  /** A new process; `pulls: false` when a test hands it its messages. */
  start(options?: { readonly pulls: boolean }): SimulatedWorker;
  publish(ref: ActorRef, command: NamedCommand, id: string, by?: By): Message;
  /** Takes a partition from its worker. */
  unpin(partition: number): void;
}

/** Partitions of the simulated installation. */
const partitions = 3;

export function createWorld(
  random: Random,
  asked: Troubles,
  trace: (line: string) => void = () => undefined,
): World {
  const schedule = createSchedule(trace);
  const stored = createStored();
  const queue = createQueue(schedule, random, partitions);
  const viewOf = createMembership(schedule);
  const replies = new Map<number, Answered[]>();
  const problems: string[] = [];
  const workers: SimulatedWorker[] = [];
  let troubles = asked;
  const provider = createProvider(schedule, random, () => troubles.failing);
  const timers = new Map<string, () => void>();
  let made = 0;

  const ids = (): string =>
    uuidv7(1_700_000_000_000 + schedule.now(), (bytes) => {
      for (let at = 0; at < bytes.length; at++) bytes[at] = random.between(0, 255);
      return bytes;
    });
  const latency = (): number =>
    random.chance(troubles.late) ? random.between(20, 1_200) : random.between(0, 5);

  const publish: World["publish"] = (ref, command, id, by = { type: "user", id: "ann" }) => {
    trace(`${schedule.now()} - publish ${command.name} ${id} to ${ref.id}`);
    const partition = Number.parseInt(ref.id.slice(-2), 16) % partitions;
    const commits_before = stored.commits(ref).length;
    return queue.publish({ ref, command, id, by, partition, commits_before });
  };

  const start = (pulls: boolean): SimulatedWorker => {
    const id = ids();
    const name = `w${++made}`;
    const life: Life = { name, alive: true, paused_until_ms: 0 };
    const view = viewOf(id, life, latency);
    const report = ({ what, error }: { what: string; error?: unknown }): void => {
      problems.push(`${name}: ${what}: ${String(error)}`);
    };
    /** A request and its answer: either may be lost, and then the caller learns nothing but that. */
    const ask = <T>(what: string, effect: () => T): Promise<T> =>
      new Promise((resolve, reject) => {
        const away = (): void => {
          const ms = random.between(100, limits.append_timeout_ms);
          schedule.after(ms, life, `${what} is lost`, () =>
            reject(new AppError("unavailable", "simulated")),
          );
        };
        if (random.chance(troubles.lost)) return away();
        schedule.after(latency(), null, `${name} ${what}`, () => {
          let answer: () => void;
          try {
            const result = effect();
            answer = () => resolve(result);
          } catch (error) {
            answer = () => reject(error);
          }
          if (random.chance(troubles.lost)) return away();
          schedule.after(latency(), life, `${what} is answered`, answer);
        });
      });
    const send = (what: string, arrive: () => void): void => {
      if (random.chance(troubles.lost)) return;
      schedule.after(latency(), null, `${name} ${what}`, arrive);
    };

    const ports: Ports = {
      log: {
        append(draft, head) {
          stored.asked(draft);
          const what = draft.events.map(({ type }) => type).join("+");
          return ask(`append ${what}`, () => stored.append(draft, head));
        },
        end: (ref) => ask("where it ends", () => stored.end(ref)),
        async *read(ref, after, end) {
          // What came behind an end that was asked for before may be read or not.
          const { sequence } = end === undefined ? { sequence: Infinity } : await end;
          const tail = await ask(`read behind ${after.sequence}`, () => stored.read(ref, after));
          const all = end === undefined || random.chance(0.5);
          yield* all ? tail : tail.filter((commit) => commit.sequence <= sequence);
        },
      },
      snapshots: {
        load: (ref) =>
          ask("load a snapshot", () => {
            const some = stored.snapshotsOf(ref);
            return (random.chance(0.2) ? random.pick(some) : some.at(-1)) ?? null;
          }).catch(() => null),
        save: (ref, snapshot) => send("save a snapshot", () => stored.save(ref, snapshot)),
      },
      texts: {
        read: (ref, texts) =>
          ask("read texts", () =>
            texts.map(({ message, sequence }) => {
              const commit = stored.commits(ref).find((one) => one.sequence === sequence);
              return commit === undefined ? "" : (textOf(commit, message) ?? "");
            }),
          ),
        remember: () => undefined,
      },
      tokens: {
        publish: (ref, frame) =>
          stored.publish(ref, { ...frame, worker: id, lost: random.chance(troubles.lost) }),
        published: (ref, turn, attempt, checkpoints) =>
          ask("read frames", () => stored.published(ref, turn, attempt, checkpoints)),
      },
      workers: view,
      content: { erase: () => ask("erase", () => undefined) },
      replies: {
        answer(subject, reply) {
          const sequence = Number(subject);
          const message = queue.messages[sequence - 1];
          const commits = message === undefined ? 0 : stored.commits(message.ref).length;
          replies.set(sequence, [...(replies.get(sequence) ?? []), { reply, commits }]);
        },
      },
      timers: {
        set(ref, key, at_ms, command) {
          const name = `${refKey(ref)} ${key}`;
          const by: By = { type: "system", id };
          const command_id = ids();
          timers.get(name)?.();
          const ms = at_ms - schedule.now();
          const fire = (): void => void publish(ref, command, command_id, by);
          timers.set(name, schedule.after(ms, null, `timer ${key}`, fire));
        },
      },
      models: provider.modelsFor(life),
      title: (text) => text.slice(0, 20),
      clock: schedule.clockOf(life),
      ids,
      report,
    };
    const host = createHost(ports);
    const lanes = createLanes({
      ...{ schedule, queue, life, view, partitions, send, latency, report },
      inbox: host,
    });
    const beat = (): void => {
      const lapsed = view.beat(random.chance(troubles.lost));
      if (pulls) lanes.tick(lapsed);
      const ms = limits.worker_beat_ms + random.between(-50, 50);
      schedule.after(ms, life, "timer", beat);
    };
    beat();
    const end = (): void => {
      life.alive = false;
      workers.splice(workers.indexOf(worker), 1);
    };
    const worker: SimulatedWorker = {
      ...{ id, life, host },
      crash() {
        trace(`${schedule.now()} ${name} crashes`);
        end();
      },
      pause(ms) {
        trace(`${schedule.now()} ${name} stands still for ${ms}`);
        life.paused_until_ms = schedule.now() + ms;
      },
      async drain(ms) {
        trace(`${schedule.now()} ${name} drains`);
        await host.drain(ms);
        lanes.stop();
        view.leave();
        end();
      },
    };
    workers.push(worker);
    return worker;
  };

  return {
    ...{ schedule, stored, replies, problems, workers, ids },
    calls: provider.calls,
    messages: queue.messages,
    calm() {
      troubles = no_troubles;
    },
    start: ({ pulls } = { pulls: true }) => start(pulls),
    publish,
    unpin: (partition) => queue.unpin(partition % partitions),
  };
}
