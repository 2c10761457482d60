/** A whole worker on a real nats-server and a scripted provider, and somebody who talks to it. */
import { createHost, type Host } from "../../actors/host.ts";
import type { LogPort } from "../../actors/ports.ts";
import { createModels, type ModelRegistry } from "../../models/registry.ts";
import { extractTitle } from "../../models/titler.ts";
import type { CommandData, PublicCommandName, Reply } from "../../schemas/commands.ts";
import type { Commit } from "../../schemas/commit.ts";
import { empty_head } from "../../schemas/commit.ts";
import type { DomainEvent, EventData, EventType } from "../../schemas/events.ts";
import { type ActorRef, type By, systemClock, systemIds } from "../../schemas/ids.ts";
import { kvKey } from "../../schemas/subjects.ts";
import type { TokenFrame } from "../../schemas/tokens.ts";
import { openAsking } from "../../streams/queue/asking.ts";
import { commandPublisher } from "../../streams/queue/commands.ts";
import { ensureConsumers } from "../../streams/queue/consumers.ts";
import { eraseContent } from "../../streams/content/erasure.ts";
import { followCommits } from "../../streams/live/live.ts";
import { consumeCommands, type CommandQueue } from "../../streams/queue/queue.ts";
import { openReplies, replyPort } from "../../streams/live/replies.ts";
import { openSnapshots } from "../../streams/log/snapshots.ts";
import { textPort } from "../../streams/log/texts.ts";
import { openTimers } from "../../streams/queue/timers.ts";
import { followTokens, tokenPort } from "../../streams/live/tokens.ts";
import { joinWorkers, type Workers } from "../../streams/queue/workers.ts";
import {
  all,
  newRef,
  partitions,
  secret,
  type Server,
  startSystem,
  type System,
} from "../streams/system.ts";
import { type ModelServer, startModelServer } from "../support/model-server.ts";
import { pulse } from "../support/pulse.ts";

export interface Worker {
  readonly id: string;
  readonly host: Host;
  readonly queue: CommandQueue;
  readonly workers: Workers;
  readonly problems: string[];
  /** Every commit that its actors have read from the log. */
  readonly read: readonly Commit[];
  /** Ends in order; what it held is given back. */
  stop(drain_ms?: number): Promise<void>;
  /** Ends as a crash would: its connection is gone, nothing is given back. */
  crash(): Promise<void>;
}

export interface World {
  readonly system: System<Server>;
  readonly provider: ModelServer;
  /**
   * One more, maybe by another way to the same server; `log` stands in front of its own log, to fail
   * where a test says, and `erase` in the place of the erasure.
   */
  worker(options?: {
    url?: string;
    log?: (own: LogPort) => LogPort;
    erase?: (ref: ActorRef) => Promise<void>;
    disallows?: (text: string) => boolean;
  }): Promise<Worker>;
  /** Somebody who talks to one conversation, a new one when none is named. */
  talk(options?: { ref?: ActorRef; user?: string }): Promise<Talk>;
  /** Resolves when the server has stored the actor's next snapshot. */
  snapshotStored(ref: ActorRef): Promise<void>;
  /** Makes the actor's snapshot one of another history. */
  forgeSnapshot(ref: ActorRef): Promise<void>;
  stop(): Promise<void>;
}

export interface Talk {
  readonly ref: ActorRef;
  /** Commits as they came over the live lane. */
  readonly commits: readonly Commit[];
  readonly frames: readonly TokenFrame[];
  command<N extends PublicCommandName>(name: N, data: CommandData<N>, id?: string): Promise<Reply>;
  /** Sends without waiting for the answer. */
  publish<N extends PublicCommandName>(name: N, data: CommandData<N>, id?: string): Promise<string>;
  /** The first event of a type that was not returned before, now or later. */
  event<T extends EventType>(type: T): Promise<EventData<T>>;
  /** Resolves when so many frames have come. */
  framesSeen(count: number): Promise<void>;
  /** All events in the log. */
  log(): Promise<DomainEvent[]>;
}

const snapshotSubject = (ref: ActorRef): string => `$KV.SNAPSHOTS.${kvKey(ref)}`;

/** On a system that is there, or on a new server; `stop` stops it, too. */
export async function startWorld(given?: System<Server>): Promise<World> {
  const system: System<Server> = given ?? (await startSystem());
  await ensureConsumers(system.streams, partitions);
  const provider = await startModelServer({ tokens: 5 });
  const ends: (() => Promise<void>)[] = [];

  const worker: World["worker"] = async ({
    url,
    log: around = (own: LogPort) => own,
    erase,
    disallows,
  } = {}) => {
    const { streams, vault, log } = await system.client(url);
    const models: ModelRegistry = createModels({
      openai: { apiKey: "test", baseUrl: provider.url, model: "scripted" },
      clock: systemClock,
    });
    await models.listed();
    const workers = await joinWorkers(streams, { id: systemIds(), clock: systemClock });
    const problems: string[] = [];
    const read: Commit[] = [];
    const report = ({ what, error }: { what: string; error?: unknown }): void => {
      problems.push(`${what}: ${String(error)}`);
    };
    const asking = openAsking(streams, { id: workers.id, clock: systemClock });
    const timers = openTimers(streams, {
      ...{ worker: workers.id, secret, clock: systemClock, ids: systemIds, report },
    });
    const stood = around(log);
    const host = createHost({
      log: {
        append: (draft, head) => stood.append(draft, head),
        end: (ref, begins) => stood.end(ref, begins),
        async *read(ref, after, end) {
          for await (const commit of stood.read(ref, after, end)) {
            read.push(commit);
            yield commit;
          }
        },
      },
      timers,
      snapshots: await openSnapshots(streams, { code: "test", report }),
      texts: textPort(log),
      tokens: tokenPort(streams, log),
      workers: { ...workers, ...asking },
      content: { erase: erase ?? ((ref) => eraseContent(streams, vault, ref)) },
      replies: replyPort(streams),
      models,
      title: extractTitle,
      ...(disallows === undefined ? {} : { disallows }),
      clock: systemClock,
      ids: systemIds,
      report,
    });
    const queue = consumeCommands({
      ...{ streams, secret, worker: workers, partitions, inbox: host, report },
    });
    let over = false;
    const stop = async (drain_ms = 0): Promise<void> => {
      if (over) return;
      over = true;
      await host.drain(drain_ms);
      await queue.stop();
      asking.stop();
      timers.stop();
      await workers.leave();
      await models.close();
    };
    ends.push(stop);
    const crash = async (): Promise<void> => {
      over = true;
      await streams.nc.close();
      await host.drain(0);
      await models.close();
    };
    return { id: workers.id, host, queue, workers, problems, read, stop, crash };
  };

  const talk: World["talk"] = async ({ ref = newRef(), user = "ann" } = {}) => {
    const { streams, vault, log } = system;
    const publisher = commandPublisher(streams, secret);
    const replies = openReplies(streams, systemIds());
    const by: By = { type: "user", id: user };
    const commits: Commit[] = [];
    const frames: TokenFrame[] = [];
    const news = pulse();
    const live = followCommits(streams, vault, ref, (commit) => {
      commits.push(commit);
      news.beat();
    });
    const tokens = followTokens(streams, ref, (frame) => {
      frames.push(frame);
      news.beat();
    });
    await Promise.all([live.ready, tokens.ready]);
    ends.push(async () => {
      live.stop();
      tokens.stop();
      replies.stop();
    });
    const returned = new Set<DomainEvent>();
    const publish: Talk["publish"] = async (name, data, id = systemIds()) => {
      const reply = replies.subject(ref.tenant);
      await publisher.publish({ ref, name, id, data, by, reply, traceparent: null });
      return id;
    };
    return {
      ref,
      commits,
      frames,
      publish,
      async command(name, data, id = systemIds()) {
        const answered = new Promise<Reply>((resolve) => {
          const end = replies.on(id, (reply) => {
            end();
            resolve(reply);
          });
        });
        await publish(name, data, id);
        return answered;
      },
      async event(type) {
        const find = (): DomainEvent | undefined =>
          commits
            .flatMap(({ events }) => events)
            .find((event) => event.type === type && !returned.has(event));
        await news.until(() => find() !== undefined);
        const found = find();
        if (found === undefined) throw new Error(`no ${type}`);
        returned.add(found);
        // Found by its type, so its data is that type's.
        return found.data as never;
      },
      framesSeen: (count) => news.until(() => frames.length >= count),
      log: async () => (await all(log.read(ref, empty_head))).flatMap(({ events }) => events),
    };
  };

  return {
    system,
    provider,
    worker,
    talk,
    async snapshotStored(ref) {
      // The answer to the publisher comes after the message is stored, and a flush after that.
      const { nc } = system.streams;
      for await (const _put of nc.subscribe(snapshotSubject(ref), { max: 1 }));
      await nc.flush();
    },
    async forgeSnapshot(ref) {
      const { js, jsm } = system.streams;
      const query = { last_by_subj: snapshotSubject(ref) };
      const stored = await jsm.streams.getMessage("KV_SNAPSHOTS", query);
      const snapshot = stored?.json<{ head: object }>();
      const forged = { ...snapshot, head: { ...snapshot?.head, hash: "f".repeat(64) } };
      await js.publish(snapshotSubject(ref), JSON.stringify(forged));
    },
    async stop() {
      for (const end of ends.reverse()) await end();
      await provider.close();
      await system.stop();
    },
  };
}
