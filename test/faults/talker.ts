/**
 * One person at work while everything around breaks: asks, piles questions up, cancels, edits, asks
 * anew, says things twice, goes away in the middle of a word. A second client of the same person
 * reads along, and both lose their sockets at random. What a talker does comes from its seed alone,
 * and it goes on by what it is told, never by the clock.
 */
import type { Overlap } from "../../schemas/events/fields.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { type Ack, type Client, ClientError, connect, newId } from "../../web/client.ts";
import type { Random } from "../projections/history.ts";
import { sayOnce } from "./device.ts";
import { acknowledged, type CommandType, type Entry, type Ledger } from "./ledger.ts";
import type { Progress } from "./progress.ts";
import { between, question, unanswerable, weighted } from "./questions.ts";
import type { Network } from "./sockets.ts";
import { openTold, type Told } from "./told.ts";

/** A conversation, and what each of its two readers was told. */
export interface Talk {
  readonly ref: ActorRef;
  readonly told: Told;
  readonly beside: Told;
}

export interface Talker {
  readonly talks: readonly Talk[];
  /** Does one thing after the other until `over`. */
  work(over: () => boolean): Promise<void>;
  /** Resolves when every command has its answer. */
  answered(): Promise<void>;
  close(): void;
}

export interface TalkerOptions {
  /** Stands in every message. */
  readonly name: string;
  readonly tenant: string;
  readonly url: string;
  readonly token: string;
  /** What it does. */
  readonly roll: Random;
  /** When its clients connect again. */
  readonly jitter: Random;
  readonly network: Network;
  readonly ledger: Ledger;
  readonly progress: Progress;
  readonly wrong: (why: string) => void;
}

/** Refusals that say nothing about the command: the same id is sent again. */
const passing = new Set(["command_unanswered", "unavailable", "shutting_down", "overloaded"]);
/** Refusals that this load provokes; any other is a finding. */
const expected = new Set(["turn_running", "queue_full"]);
/** What others may be told before one who waits in vain gives up, and the time that takes at most. */
const patience_frames = 300;
const patience_ms = 5_000;
const overlaps: readonly (Overlap | undefined)[] = [
  undefined,
  undefined,
  "queue",
  "merge",
  "interrupt",
  "reject",
];

export function talker(options: TalkerOptions): Talker {
  const { name, tenant, url, token, roll, jitter, network, ledger, progress, wrong } = options;
  const seen = (): void => progress.seen();
  const door = { url, token };
  let lastId = "";
  const client = open(() => (lastId = newId()));
  const reader = open(newId);
  const talks: Talk[] = [];
  const under_way = new Set<Promise<unknown>>();
  let asked = 0;

  function open(ids: () => string): Client {
    return connect({
      url: `${url.replace("http", "ws")}/ws/chat`,
      token: () => token,
      ...{ WebSocket: network.Socket, ids, random: jitter },
    });
  }
  const track = <T>(promise: Promise<T>): Promise<T> => {
    under_way.add(promise);
    const over = (): void => void under_way.delete(promise);
    promise.then(over, over);
    return promise;
  };
  const ask = (): string => question(roll, `${name}.${(asked += 1)}`);

  function begin(): Talk {
    const ref: ActorRef = { tenant, kind: "conversation", id: newId() };
    const told = openTold(seen, (why) => wrong(`${ref.id}: ${why}`));
    const beside = openTold(seen, (why) => wrong(`${ref.id} beside: ${why}`));
    const talk = { ref, told, beside };
    talks.push(talk);
    client.begin(ref.id, told);
    return talk;
  }

  /** Sends a command until it is answered for good; null when the answer was a refusal. */
  async function settle(entry: Entry, post: () => Promise<Ack>): Promise<Ack | null> {
    for (;;) {
      try {
        const ack = await post();
        entry.answers.push({ ok: true, revision: ack.revision, seq: ack.seq });
        return ack;
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        if (error.code === "closed") return null;
        entry.answers.push({ ok: false, code: error.code });
        if (passing.has(error.code)) continue;
        if (!expected.has(error.code)) wrong(`${entry.type} ${entry.id}: nack ${error.code}`);
        return null;
      }
    }
  }
  const say = (
    { ref }: Talk,
    overlap?: Overlap,
    { id = newId(), text = ask() } = {},
  ): Promise<Ack | null> => {
    const more = overlap === undefined ? { id } : { id, overlap };
    const entry = ledger.entry(id, ref, "send");
    return track(settle(entry, () => client.send(ref.id, text, more)));
  };
  const cancel = ({ ref }: Talk, turn?: string): Promise<Ack | null> => {
    const first = client.cancel(ref.id, turn);
    const entry = ledger.entry(lastId, ref, "cancel");
    // One that was given up is not sent again: a new one would have another id.
    return track(settle(entry, () => first).catch(() => null));
  };
  /** The other device says it once, or begins to and goes. */
  const aside = (
    { ref }: Talk,
    frame: { id: string; type: CommandType },
    stay: boolean,
  ): Promise<void> => {
    const entry = ledger.entry(frame.id, ref, frame.type);
    const said = sayOnce(door, { ...frame, conversation: ref.id } as typeof frame, { stay });
    return track(
      said.then((answer) => {
        if (answer === null) return;
        entry.answers.push(answer);
        if (answer.ok || passing.has(answer.code) || expected.has(answer.code)) return;
        wrong(`${entry.type} ${entry.id} aside: nack ${answer.code}`);
      }),
    );
  };

  const messages = ({ told }: Talk, role: "user" | "assistant"): string[] =>
    told.events
      .filter(({ event }) => event.type === (role === "user" ? "message.added" : "turn.started"))
      .map(({ event }) => String(event["message"]));
  const one = (ids: readonly string[]): string | undefined => ids[between(roll, 0, ids.length - 1)];
  /** Goes on after some frames, or when nothing more is to come. */
  const some = ({ told }: Talk): Promise<void> => {
    const until = told.frames + between(roll, 0, 30);
    return told.until(() => told.frames >= until || told.open.size === 0);
  };
  const quiet = ({ told }: Talk): Promise<void> => told.until(() => told.open.size === 0);

  const actions: readonly (readonly [number, (talk: Talk) => Promise<unknown>])[] = [
    [30, async (talk) => ((await say(talk)) === null ? undefined : quiet(talk))],
    [10, async (talk) => (await say(talk), some(talk))],
    [
      12,
      async (talk) => {
        const piled = Array.from({ length: between(roll, 2, 4) }, () =>
          say(talk, overlaps[between(roll, 0, overlaps.length - 1)]),
        );
        await Promise.all(piled);
        await (roll() < 0.5 ? quiet(talk) : some(talk));
      },
    ],
    [
      12,
      async (talk) => {
        await say(talk);
        await some(talk);
        await cancel(talk, roll() < 0.5 ? undefined : [...talk.told.open].at(-1));
        await some(talk);
      },
    ],
    [
      8,
      async (talk) => {
        const message = one(messages(talk, "user"));
        if (message === undefined) return;
        const [id, text] = [newId(), ask()];
        const entry = ledger.entry(id, talk.ref, "edit");
        await track(settle(entry, () => client.edit(talk.ref.id, message, text, { id })));
        await some(talk);
      },
    ],
    [
      8,
      async (talk) => {
        const message = one(messages(talk, "assistant"));
        if (message === undefined) return;
        const id = newId();
        const entry = ledger.entry(id, talk.ref, "regenerate");
        await track(settle(entry, () => client.regenerate(talk.ref.id, message, { id })));
        await some(talk);
      },
    ],
    [
      8, // The same command from both devices at once.
      async (talk) => {
        const [id, text] = [newId(), ask()];
        const entry = ledger.entry(id, talk.ref, "send");
        const twice = aside(talk, { id, type: "send", ...{ text } }, true);
        await track(settle(entry, () => client.send(talk.ref.id, text, { id })));
        await twice;
        await some(talk);
      },
    ],
    [
      6, // An old command again: the same answer, and nothing happens.
      async (talk) => {
        const old = [...ledger.entries.values()].filter(
          (entry) => entry.ref === talk.ref && entry.type === "send" && acknowledged(entry),
        );
        const entry = old[between(roll, 0, old.length - 1)];
        if (entry === undefined) return;
        await aside(talk, { id: entry.id, type: "send", ...{ text: "again" } }, true);
      },
    ],
    [6, (talk) => aside(talk, { id: newId(), type: "send", ...{ text: ask() } }, false)],
    [
      4, // Nobody answers, or not to the end.
      async (talk) => {
        const [id, text] = [newId(), unanswerable(roll, `${name}.${(asked += 1)}`)];
        if ((await say(talk, undefined, { id, text })) === null) return;
        const turn = (): string | undefined =>
          talk.told.events
            .filter(({ event }) => event["user"] === id)
            .map(({ event }) => String(event["turn"]))[0];
        await talk.told.until(() => turn() !== undefined);
        await progress.more(patience_frames, patience_ms);
        await cancel(talk, turn());
      },
    ],
  ];

  return {
    talks,
    async work(over) {
      while (!over()) {
        const talk = begin();
        // The first message makes the conversation, so that the second reader finds it.
        await say(talk);
        reader.subscribe(talk.ref.id, talk.beside);
        for (let left = between(roll, 3, 8); left > 0 && !over(); left--) {
          await weighted(roll, actions)(talk);
        }
      }
    },
    async answered() {
      while (under_way.size > 0) await Promise.all(under_way);
    },
    close() {
      client.close();
      reader.close();
    },
  };
}
