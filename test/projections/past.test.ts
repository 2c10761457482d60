/** What a conversation was is what its read model said then: the fold in memory against the tables. */
import { describe, expect, test } from "vitest";
import type { Database } from "../../projections/postgres.ts";
import { conversations } from "../../projections/projectors/conversations.ts";
import { messages } from "../../projections/projectors/messages.ts";
import { ratings } from "../../projections/projectors/ratings.ts";
import { shares } from "../../projections/projectors/shares.ts";
import { blanked, replay, stateAt, unlessDeleted } from "../../projections/queries/history.ts";
import type { Queries } from "../../projections/queries/queries.ts";
import { type Commit, lastRevision } from "../../schemas/commit.ts";
import { type DomainEvent, event } from "../../schemas/events.ts";
import { ConversationState, type Message } from "../../schemas/http.ts";
import { refKey } from "../../schemas/ids.ts";
import { limits } from "../../schemas/limits.ts";
import { check } from "../../schemas/validate.ts";
import { dialects, openLanes, serve, wipe } from "./databases.ts";
import { erased, place, randomHistory, seeded, uuid } from "./history.ts";

const isState = check(ConversationState).is;
async function* line(commits: readonly Commit[]): AsyncGenerator<Commit> {
  yield* commits;
}
/** Each actor's commits. */
const lines = (history: readonly Commit[]): Commit[][] => [
  ...Map.groupBy(history, ({ ref }) => refKey(ref)).values(),
];

/** The longest line of a history up to its deletion. */
function endless(history: readonly Commit[]): Commit[] {
  const [commits = []] = lines(history).toSorted((one, other) => other.length - one.length);
  const end = commits.findIndex(({ events }) =>
    events.some(({ type }) => type === "conversation.deleted"),
  );
  return commits.slice(0, end === -1 ? commits.length : end);
}

describe.each(dialects)("the past on $name", ({ missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let database: Database;
    let queries: Queries;
    serve(start, (opened) => ({ database, queries } = opened));

    test.each([101, 103, 107])(
      "I4: I8: a state at the last revision is what the read models say, seed %i",
      async (seed) => {
        const history = randomHistory(seed, 300, 6);
        // Once in the middle and once at the end: the past is what the tables held then.
        for (const until of [140, 300]) {
          const then = history.slice(0, until);
          await wipe(database);
          for (const lane of await openLanes(database, [
            conversations,
            messages,
            shares,
            ratings,
          ])) {
            await lane.apply(then);
          }
          for (const commits of lines(then)) {
            const last = commits.at(-1);
            if (last === undefined) throw new Error("a line is never empty");
            const { tenant, id } = last.ref;
            const whole = lines(history).find(
              ([one]) => refKey(one?.ref ?? last.ref) === refKey(last.ref),
            );
            const asked = { revision: last.revision, limit: 200 };
            const state = await stateAt(line(whole ?? []), asked);
            const page = { tenant, conversation: id, all: true, limit: 200 };
            const { items, next } = await queries.messages(page);
            const conversation = await queries.conversation(tenant, id);
            const shared = await queries.shares(tenant, id);
            const sequence = last.sequence;
            expect(state).toEqual({
              conversation,
              shares: shared,
              messages: items,
              next,
              sequence,
            });
            const access = "owner";
            const shown = { ...state, conversation: { ...conversation, access, shares: shared } };
            expect(isState(shown)).toBe(true);
          }
        }
      },
    );

    test("I8: a message with the id of a turn is not taken for its answer, in any batch", async () => {
      const random = seeded(11);
      const ref = { tenant: "acme", kind: "conversation", id: uuid(random) } as const;
      const [turn, message, first] = [uuid(random), uuid(random), uuid(random)];
      const begun = { origin: "chat", owner: "ann", model: null, overlap: "queue" } as const;
      const call = { attempt: 1, owner: "w", provider: "p", model: "m" } as const;
      const said = (id: string) =>
        event("message.added", { message: id, parent: null, role: "user", text: "hello" });
      const queued = { turn: uuid(random), message: uuid(random), user: turn, model: null };
      const usage = { tokensIn: 1, tokensOut: 1, costUsd: "0.000000" };
      const ending = { turn, message, attempt: 1, seq: 0, text: "an answer", usage };
      const frames = { lengths: [], times: [] };
      const started = { turn, message, user: first, ...call };
      const commits = [
        place(
          ref,
          [event("conversation.started", begun), said(first), event("turn.started", started)],
          ...([1, 1, "", random] as const),
        ),
        place(ref, [said(turn), event("turn.queued", queued)], 4, 2, "", random),
        place(
          ref,
          [event("turn.completed", { ...ending, frames, finish: "stop" })],
          ...([6, 3, "", random] as const),
        ),
      ];
      const page = { tenant: "acme", conversation: ref.id, all: true, limit: 10 };
      for (const size of [1, 2, 3]) {
        await wipe(database);
        for (let at = 0; at < commits.length; at += size) {
          for (const lane of await openLanes(database, [messages, ratings])) {
            await lane.apply(commits.slice(at, at + size));
          }
        }
        const { items } = await queries.messages(page);
        expect(items.map(({ role, text }) => [role, text])).toEqual([
          ["user", "hello"],
          ["assistant", "an answer"],
          ["user", "hello"],
          ["assistant", ""],
        ]);
        const state = await stateAt(line(commits), { revision: 6, limit: 10 });
        expect(state?.messages).toEqual(items);
      }
    });

    test("a NUL is stored and replayed as the same character", async () => {
      await wipe(database);
      const random = seeded(3);
      const ref = { tenant: "acme", kind: "conversation", id: uuid(random) } as const;
      const owner = { origin: "chat", owner: "ann", model: null, overlap: "queue" } as const;
      const said = { message: uuid(random), parent: null, role: "user", text: "a\0b" } as const;
      const events = [event("conversation.started", owner), event("message.added", said)];
      const commit = place(ref, events, 1, 1, "", random);
      for (const lane of await openLanes(database, [messages, ratings])) {
        await lane.apply([commit]);
      }
      const page = { tenant: "acme", conversation: ref.id, all: true, limit: 10 };
      const state = await stateAt(line([commit]), { revision: 2, limit: 10 });
      expect(state?.messages).toEqual((await queries.messages(page)).items);
    });
  });
});

describe("the past alone", () => {
  test("I4: every revision of a commit gives the state behind the whole of it, and only it", async () => {
    for (const commits of lines(randomHistory(109, 200, 3))) {
      const fold = replay();
      for (const commit of commits) {
        fold.add(commit);
        for (let revision = commit.revision; revision <= lastRevision(commit); revision++) {
          const state = await stateAt(line(commits), { revision, limit: 200 });
          expect(state).toMatchObject({ sequence: commit.sequence });
          expect(state?.conversation).toEqual(fold.conversation());
          expect(state?.messages).toEqual(fold.messages());
        }
      }
      const last = commits.at(-1);
      const revision = last === undefined ? 1 : lastRevision(last) + 1;
      expect(await stateAt(line(commits), { revision, limit: 200 })).toBeNull();
    }
  });

  test("I11: pages of long texts, which the fold forgets on its way, are those of the whole", async () => {
    const long = "x".repeat(limits.history_chars_max / 4);
    for (const seed of [113, 139, 149, 151]) {
      const large = endless(randomHistory(seed, 160, 1)).map((commit) => ({
        ...commit,
        events: commit.events.map((one) =>
          one.type === "message.added" || one.type === "turn.completed"
            ? event(one.type, { ...one.data, text: `${one.data.text} ${long}` })
            : one,
        ),
      }));
      const fold = replay();
      for (const commit of large) fold.add(commit);
      const revision = fold.conversation()?.revision ?? 0;
      for (const limit of [1, 2, 7]) {
        const seen: Message[] = [];
        let cursor: string | null = null;
        do {
          const page = { revision, limit, ...(cursor === null ? {} : { cursor }) };
          const state = await stateAt(line(large), page);
          seen.push(...(state?.messages ?? []));
          cursor = state?.next ?? null;
        } while (cursor !== null);
        expect(seen.length).toBeGreaterThan(10);
        expect(seen).toEqual(fold.messages());
      }
    }
  });

  test("I11: the fold forgets no text that its page shows after answers that waited have moved", async () => {
    const random = seeded(7);
    const ref = { tenant: "acme", kind: "conversation", id: uuid(random) } as const;
    const commits: Commit[] = [];
    const add = (...events: DomainEvent[]): void => {
      const last = commits.at(-1);
      const revision = last === undefined ? 1 : lastRevision(last) + 1;
      commits.push(place(ref, events, revision, commits.length + 1, "", random));
    };
    const said = (text: string): { user: string; event: DomainEvent } => {
      const user = uuid(random);
      const data = { message: user, parent: null, role: "user", text } as const;
      return { user, event: event("message.added", data) };
    };
    const turns = [1, 2, 3].map(() => ({ turn: uuid(random), message: uuid(random) }));
    const [one, two, three] = turns;
    if (one === undefined || two === undefined || three === undefined) throw new Error("three");
    /** A message that begins a turn which waits, or joins one that does. */
    const asks = (turn: { turn: string; message: string }, text: string): void => {
      const { user, event: added } = said(text);
      add(added, event("turn.queued", { ...turn, user, model: null }));
    };
    const cancel = (turn: { turn: string; message: string }): void => {
      const usage = { tokensIn: 0, tokensOut: 0, costUsd: "0.000000" };
      const nothing = { attempt: 0, seq: 0, text: "", frames: { lengths: [], times: [] }, usage };
      add(event("turn.cancelled", { ...turn, ...nothing, reason: "asked" }));
    };
    add(
      event("conversation.started", {
        ...{ origin: "chat", owner: "ann", model: null, overlap: "merge" },
      }),
      said("first").event,
    );
    asks(one, "one");
    asks(two, "two");
    asks(three, "x".repeat(limits.history_chars_max + 1));
    cancel(three);
    asks(two, "joins two");
    cancel(two);
    asks(one, "joins one");
    const fold = replay();
    for (const commit of commits) fold.add(commit);
    const revision = fold.conversation()?.revision ?? 0;
    const state = await stateAt(line(commits), { revision, limit: 4 });
    expect(state?.messages).toEqual(fold.messages().slice(0, 4));
    expect(state?.messages.map(({ text }) => text.length)).toEqual([
      ...[5, 3, 3],
      limits.history_chars_max + 1,
    ]);
  });

  test("of an erased conversation the facts stay and the content is blank, however it became so", async () => {
    for (const commits of lines(randomHistory(127, 150, 3))) {
      for (const commit of commits) expect(blanked(commit)).toEqual(erased(commit));
      const revision = Math.max(1, (commits.at(-1)?.revision ?? 1) - 2);
      const whole = await stateAt(line(commits), { revision, limit: 200 });
      const blank = await stateAt(line(commits.map(blanked)), { revision, limit: 200 });
      expect(blank?.messages.map(({ text }) => text).join("")).toBe("");
      const bare = (one: Message): object => ({ ...one, text: "", error: one.error?.code ?? null });
      expect(blank?.messages.map(bare)).toEqual(whole?.messages.map(bare));
    }
  });

  test("what a deleted conversation said is gone before its key is", async () => {
    const gone = ({ events }: Commit): boolean =>
      events.some(({ type }) => type === "conversation.deleted");
    let deleted = 0;
    for (const commits of lines(randomHistory(137, 300, 8))) {
      const last = commits.at(-1);
      if (last === undefined) throw new Error("a line is never empty");
      deleted += gone(last) ? 1 : 0;
      const read: Commit[] = [];
      for await (const commit of unlessDeleted(line(commits), last)) read.push(commit);
      expect(read).toEqual(gone(last) ? commits.map(erased) : commits);
    }
    expect(deleted).toBeGreaterThan(0);
  });

  test("a line that does not hang together is told, not guessed", async () => {
    const [commits = []] = lines(randomHistory(131, 60, 1));
    const holed = commits.filter((_, at) => at !== 2);
    const asked = stateAt(line(holed), { revision: 10_000, limit: 10 });
    await expect(asked).rejects.toMatchObject({ code: "stale" });
  });
});
