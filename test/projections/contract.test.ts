/** One contract for both databases: the same rows, the same answers, the same errors. */
import Type from "typebox";
import { beforeEach, describe, expect, test } from "vitest";
import { type ConversationEvent, evolve, initialState } from "../../actors/conversation/state.ts";
import { LostRace, openLane } from "../../projections/lane.ts";
import { connectDatabase, type Database, sqlState } from "../../projections/postgres.ts";
import { stateAt } from "../../projections/queries/history.ts";
import type { Queries } from "../../projections/queries/queries.ts";
import type { Commit } from "../../schemas/commit.ts";
import { event } from "../../schemas/events.ts";
import { Conversation, Message } from "../../schemas/http.ts";
import type { ActorRef } from "../../schemas/ids.ts";
import { refKey } from "../../schemas/ids.ts";
import { check } from "../../schemas/validate.ts";
import { dialects, dump, type Opened, openLanes, serve, wipe } from "./databases.ts";
import { erased, place, randomHistory, seeded, uuid } from "./history.ts";

const isConversation = check(Type.Omit(Conversation, ["access", "shares"])).is;
const isMessage = check(Message).is;

const applyAll = async (database: Database, history: readonly Commit[]): Promise<void> => {
  for (const lane of await openLanes(database)) expect(await lane.apply(history)).toEqual([]);
};

describe.each(dialects)("projections on $name", ({ name, missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let url: string;
    let database: Database;
    let queries: Queries;
    let announce: Opened["announce"];
    serve(start, (opened) => ({ url, database, queries, announce } = opened));
    beforeEach(() => wipe(database));

    test("the dialect is found out", () => expect(database.dialect).toBe(name));

    test("I8: any split into batches, with crashes between, gives the rows of one batch", async () => {
      for (const seed of name === "pglite" ? [1, 2] : [3, 4]) {
        const history = randomHistory(seed, 250);
        await wipe(database);
        await applyAll(database, history);
        const whole = await dump(database);
        await wipe(database);
        const random = seeded(seed + 100);
        const cursors = (await openLanes(database)).map(() => 0);
        while (cursors.some((at) => at < history.length)) {
          // Every round opens its lanes anew, as after a crash, and now and then repeats old commits.
          const opened = await openLanes(database);
          for (const [index, lane] of opened.entries()) {
            const at = Math.max(0, (cursors[index] ?? 0) - Math.floor(random() * 5));
            const size = 1 + Math.floor(random() * random() * 80);
            await lane.apply(history.slice(at, at + size));
            cursors[index] = lane.checkpoint().position;
          }
        }
        expect(await dump(database), `seed ${seed}`).toEqual(whole);
      }
    });

    test("I8: rows and checkpoint move together or not at all", async () => {
      const history = randomHistory(7, 60);
      await applyAll(database, history.slice(0, 30));
      const before = await dump(database);
      for (const lane of await openLanes(database)) {
        const failing: Database = {
          ...database,
          transaction: (work) =>
            database.transaction(async (sql) => {
              await work(sql);
              throw new Error("the process died before COMMIT");
            }),
        };
        const broken = await openLane(failing, lane.generation);
        await expect(broken.apply(history.slice(30))).rejects.toThrow("died");
      }
      expect(await dump(database)).toEqual(before);
      await applyAll(database, history.slice(30));
      const after = await dump(database);
      await wipe(database);
      await applyAll(database, history);
      expect(await dump(database)).toEqual(after);
    });

    test("I8: of two runners at the same position one loses, and nothing is applied twice", async () => {
      const history = randomHistory(9, 40);
      const [one] = await openLanes(database);
      const [two] = await openLanes(database);
      if (one === undefined || two === undefined) throw new Error("no lanes");
      await one.apply(history);
      await expect(two.apply(history)).rejects.toThrow(LostRace);
      const [three] = await openLanes(database);
      expect(three?.checkpoint().position).toBe(history.length);
    });

    test("I8: erased conversations are rebuilt to the same rows", async () => {
      const history = randomHistory(11, 400, 12);
      const deleted = new Set(
        history
          .filter((c) => c.events.some((e) => e.type === "conversation.deleted"))
          .map((c) => refKey(c.ref)),
      );
      expect(deleted.size).toBeGreaterThan(0);
      await applyAll(database, history);
      const before = await dump(database);
      await wipe(database);
      await applyAll(
        database,
        history.map((c) => (deleted.has(refKey(c.ref)) ? erased(c) : c)),
      );
      expect(await dump(database)).toEqual(before);
      for (const commit of history) {
        if (!deleted.has(refKey(commit.ref))) continue;
        const { tenant, id } = commit.ref;
        const row = await queries.conversation(tenant, id);
        expect(row).toMatchObject({ status: "deleted", title: null, turn: null });
        const page = { tenant, conversation: id, all: true, limit: 10 };
        expect((await queries.messages(page)).items).toEqual([]);
      }
    });

    test("I8: head and running turn are those of the actor's state, and shapes are the API's", async () => {
      const history = randomHistory(13, 500, 20);
      await applyAll(database, history);
      const states = new Map<string, { ref: ActorRef; state: ReturnType<typeof initialState> }>();
      for (const { ref, events, sequence, command, at } of history) {
        const entry = states.get(refKey(ref)) ?? { ref, state: initialState(ref) };
        for (const one of events) {
          // The history is that of conversations.
          const folded = { ...one, sequence, command, at } as ConversationEvent;
          entry.state = evolve(entry.state, folded);
        }
        states.set(refKey(ref), entry);
      }
      let paths = 0;
      for (const { ref, state } of states.values()) {
        const { tenant, id } = ref;
        const row = await queries.conversation(tenant, id);
        expect(isConversation(row)).toBe(true);
        expect(row).toMatchObject({ head: state.head, turn: state.running?.turn ?? null });
        if (row?.status === "deleted") continue;
        const all = (await queries.messages({ tenant, conversation: id, all: true, limit: 200 }))
          .items;
        for (const message of all) expect(isMessage(message), JSON.stringify(message)).toBe(true);
        const path = (await queries.messages({ tenant, conversation: id, all: false, limit: 200 }))
          .items;
        const expected: string[] = [];
        for (let at = row?.head ?? null; at !== null;) {
          expected.unshift(at);
          const found = all.find((message) => message.id === at);
          at = found?.parent ?? null;
        }
        expect(path.map((message) => message.id)).toEqual(expected);
        paths += path.length > 2 ? 1 : 0;
      }
      expect(paths).toBeGreaterThan(1);
    });

    test("an answer is there while it is written, and restarts begin it again", async () => {
      const random = seeded(5);
      const ref = { tenant: "acme", kind: "conversation", id: uuid(random) } as const;
      const [user, turn, message] = [uuid(random), uuid(random), uuid(random)];
      const frames = { lengths: [], times: [] };
      let revision = 1;
      let sequence = 0;
      const step = async (...events: Parameters<typeof place>[1]) => {
        sequence += 1;
        await applyAll(database, [place(ref, events, revision, sequence, "", random)]);
        revision += events.length;
        const page = { tenant: "acme", conversation: ref.id, all: false, limit: 10 };
        return (await queries.messages(page)).items.at(-1);
      };
      const call = { owner: "w", provider: "p" };
      await step(
        event("conversation.started", {
          origin: "chat",
          owner: "u",
          model: null,
          overlap: "queue",
        }),
        event("message.added", { message: user, parent: null, role: "user", text: "Hi" }),
        event("turn.started", { turn, message, user, attempt: 1, ...call, model: "m1" }),
      );
      const some = { turn, first: 1, seq: 1, frames };
      expect(
        await step(event("turn.checkpointed", { ...some, attempt: 1, text: "Hel" })),
      ).toMatchObject({
        ...{
          id: message,
          role: "assistant",
          text: "Hel",
          status: "generating",
          parent: user,
          turn,
        },
        ...{ model: "m1", finish: null, usage: null, error: null, revision: 3 },
      });
      const restarted = { turn, attempt: 2, ...call, model: "m2", reason: "owner_gone" } as const;
      expect(await step(event("turn.restarted", restarted))).toMatchObject({
        text: "",
        model: "m2",
      });
      // A checkpoint of the attempt before is void.
      expect(
        await step(event("turn.checkpointed", { ...some, attempt: 1, text: "x" })),
      ).toMatchObject({
        text: "",
      });
      await step(event("turn.checkpointed", { ...some, attempt: 2, text: "Good " }));
      const usage = { tokensIn: 1, tokensOut: 2, costUsd: "0.000300" };
      const end = { turn, message, attempt: 2, seq: 2, text: "Good day\0", frames, usage };
      const failed = { ...end, code: "model_timeout", detail: "" } as const;
      expect(await step(event("turn.failed", failed))).toMatchObject({
        ...{ text: "Good day\u{fffd}", status: "failed", finish: "failed", usage },
        error: { code: "model_timeout", message: "The model did not answer in time." },
      });
    });

    test("I8: a poison event parks its actor only, and reads of it say stale", async () => {
      const history = randomHistory(17, 120);
      const victim = history[40]?.ref;
      if (victim === undefined) throw new Error("no victim");
      // From commit 40 on the victim's numbers have a gap.
      const holed = history.map((c) =>
        c.sequence > 40 && refKey(c.ref) === refKey(victim)
          ? { ...c, revision: c.revision + 1 }
          : c,
      );
      const [lane] = await openLanes(database);
      const poisons = await lane?.apply(holed);
      expect(poisons).toMatchObject([{ ref: victim, sequence: 41 }]);
      expect(lane?.checkpoint().position).toBe(history.length);
      await expect(queries.conversation(victim.tenant, victim.id)).rejects.toMatchObject({
        code: "stale",
      });
      const others = await dump(database);
      const last = history.findLast((c) => refKey(c.ref) !== refKey(victim));
      const other = await queries.conversation(last?.ref.tenant ?? "", last?.ref.id ?? "");
      expect(other).toMatchObject({
        revision: (last?.revision ?? 0) + (last?.events.length ?? 0) - 1,
      });
      expect(others["conversations"]).toHaveLength(new Set(history.map((c) => refKey(c.ref))).size);
    });

    test("I8: a value that the database refuses parks its actor, and its neighbours go on", async () => {
      const history = randomHistory(19, 51);
      const victim = history[50];
      if (victim === undefined) throw new Error("no victim");
      const bad = { ...victim, at: "the day before yesterday" };
      const [lane] = await openLanes(database);
      const poisons = await lane?.apply(history.map((c) => (c === victim ? bad : c)));
      expect(poisons).toMatchObject([{ ref: victim.ref, sequence: victim.sequence }]);
      expect(lane?.checkpoint().position).toBe(history.length);
      const rows = await database.query("SELECT reason FROM read.parked");
      expect(String(rows[0]?.["reason"])).toContain("timestamp");
    });

    test("I10: lists hold only the owner's of the tenant, newest first, page by page", async () => {
      const random = seeded(23);
      const history: Commit[] = [];
      const begun = (tenant: string, owner: string, origin: "chat" | "api" = "chat") => {
        const ref = { tenant, kind: "conversation", id: uuid(random) } as const;
        const started = event("conversation.started", {
          origin,
          owner,
          model: null,
          overlap: "queue",
        });
        history.push(place(ref, [started], 1, history.length + 1, "", random));
        return ref.id;
      };
      const mine = Array.from({ length: 25 }, () => begun("acme", "ann"));
      begun("acme", "bob");
      begun("beta", "ann");
      const api = begun("acme", "ann", "api");
      await applyAll(database, history);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await queries.conversations({
          ...{ tenant: "acme", user: "ann", limit: 10 },
          ...(cursor === undefined ? {} : { cursor }),
        });
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      expect(seen).toEqual(mine.toReversed());
      const page = { tenant: "acme", user: "ann", limit: 10, origin: "api" } as const;
      expect((await queries.conversations(page)).items.map(({ id }) => id)).toEqual([api]);
      const none = await queries.conversations({ ...page, status: "archived" });
      expect(none).toEqual({ items: [], next: null });
      for (const bad of ["", "x", "W10", Buffer.from('["messages",1]').toString("base64url")]) {
        const asked = queries.conversations({ ...page, cursor: bad });
        await expect(asked, bad).rejects.toMatchObject({ code: "bad_cursor" });
      }
      expect(await queries.conversation("beta", mine[0] ?? "")).toBeNull();
      expect(await queries.conversation("acme", "no-uuid' OR 1=1")).toBeNull();
    });

    test("messages come page by page, oldest first", async () => {
      const history = randomHistory(29, 300, 1);
      const live = history.slice(
        0,
        history.findIndex((c) => c.events.some((e) => e.type === "conversation.deleted")) >>> 0,
      );
      await applyAll(database, live);
      const ref = live[0]?.ref;
      const page = { tenant: ref?.tenant ?? "", conversation: ref?.id ?? "", all: true };
      const whole = (await queries.messages({ ...page, limit: 200 })).items;
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const asked = { ...page, limit: 3, ...(cursor === undefined ? {} : { cursor }) };
        const { items, next } = await queries.messages(asked);
        seen.push(...items.map(({ id }) => id));
        cursor = next ?? undefined;
      } while (cursor !== undefined && seen.length < 200);
      expect(seen.slice(0, 200)).toEqual(whole.map(({ id }) => id));
      expect(whole.length).toBeGreaterThan(3);
    });

    test("I11: a page of long texts ends early, as it does when it is folded", async () => {
      const random = seeded(37);
      const ref = { tenant: "acme", kind: "conversation", id: uuid(random) } as const;
      const begun = { origin: "chat", owner: "ann", model: null, overlap: "queue" } as const;
      // 900 KB each: three are the first that are more than a page.
      const texts = Array.from({ length: 7 }, (_, at) => `${at} ${"世".repeat(300_000)}`);
      const said = texts.map((text) => {
        const one = { message: uuid(random), parent: null, role: "user", text } as const;
        return event("message.added", one);
      });
      const commit = place(ref, [event("conversation.started", begun), ...said], 1, 1, "", random);
      await applyAll(database, [commit]);
      const asked = { tenant: "acme", conversation: ref.id, all: true, limit: 200 };
      const sizes: number[] = [];
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const more = cursor === undefined ? {} : { cursor };
        const page = await queries.messages({ ...asked, ...more });
        const line = (async function* () {
          yield commit;
        })();
        const past = await stateAt(line, { revision: 1, limit: 200, ...more });
        expect([past?.messages, past?.next]).toEqual([page.items, page.next]);
        sizes.push(page.items.length);
        seen.push(...page.items.map(({ text }) => text));
        cursor = page.next ?? undefined;
      } while (cursor !== undefined);
      expect(sizes).toEqual([3, 3, 1]);
      expect(seen.every((text, at) => text === texts[at])).toBe(true);
    });

    test("a read with minSeq waits for it, woken by an announcement or by the select", async () => {
      const history = randomHistory(31, 50, 1);
      const ref = history.at(-1)?.ref;
      await applyAll(database, history.slice(0, 10));
      const asked = queries.conversation(ref?.tenant ?? "", ref?.id ?? "", history.length);
      await applyAll(database, history.slice(10));
      announce("conversations", history.length);
      const last = history.at(-1);
      expect((await asked)?.revision).toBe((last?.revision ?? 0) + (last?.events.length ?? 0) - 1);
      // No announcement came for messages: the select finds it.
      const page = { tenant: ref?.tenant ?? "", conversation: ref?.id ?? "", all: true, limit: 1 };
      await queries.messages({ ...page, minSeq: history.length });
      const there = { conversations: history.length, messages: history.length };
      expect(await queries.positions()).toMatchObject(there);
    });

    test("a session that is ended by force mends itself with the next query", async () => {
      const second = await connectDatabase(url);
      try {
        await second.query("SELECT 1");
        if (name === "postgres") {
          await database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
          );
          await second.query("SELECT 1").catch((error: unknown) => {
            expect(error).toMatchObject({ code: "unavailable" });
          });
        }
        expect(await second.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
      } finally {
        await second.close();
      }
    });

    test("SQL errors keep their code, and the session stays sound", async () => {
      const failed = database.query("SELECT 1 / 0");
      await expect(failed).rejects.toSatisfy((error) => sqlState(error) === "22012");
      await expect(database.query("SELECT * FROM nowhere")).rejects.toMatchObject({
        code: "unavailable",
      });
      expect(await database.query("SELECT $1::bigint AS n", [2 ** 40])).toEqual([{ n: 2 ** 40 }]);
    });
  });
});
