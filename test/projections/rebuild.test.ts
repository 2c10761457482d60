/** Rebuilds beside a runner that serves: on both databases, with and without traffic. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readGenerations } from "../../projections/generations.ts";
import type { Logged } from "../../projections/lane.ts";
import type { LogSource } from "../../projections/log-source.ts";
import type { Database } from "../../projections/postgres.ts";
import type { Projector, Sheet } from "../../projections/projector.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { conversations } from "../../projections/projectors/conversations.ts";
import { messages } from "../../projections/projectors/messages.ts";
import { turns } from "../../projections/projectors/turns.ts";
import { openQueries } from "../../projections/queries/queries.ts";
import { fill } from "../../projections/rebuild/fill.ts";
import { finish } from "../../projections/rebuild/finish.ts";
import { begin, buildPast, rebuild } from "../../projections/rebuild/rebuild.ts";
import { type ReadActor, retryParked } from "../../projections/rebuild/retry.ts";
import { rollback } from "../../projections/rebuild/rollback.ts";
import { readParkedActors } from "../../projections/rebuild/status.ts";
import { dropGeneration } from "../../projections/rebuild/swap.ts";
import { verify } from "../../projections/rebuild/verify.ts";
import { systemClock } from "../../schemas/ids.ts";
import { dialects, dump, openLanes, serve, wipe } from "./databases.ts";
import { randomHistory } from "./history.ts";
import { logOf } from "./memory-log.ts";
import { rebuilding } from "./rebuilding.ts";
import { endAll, run } from "./running.ts";

const states = async (database: Database): Promise<string[]> =>
  (await readGenerations(database)).map(
    ({ name, generation, state }) => `${name} ${generation} ${state}`,
  );

/** A reader of these, whatever the log says. */
const reader = (all: readonly Logged[]): LogSource["read"] =>
  async function* ({ after, until = all.length }) {
    yield all.slice(after, until);
  };

/** The projector's sheet, which cannot fold the third event of one actor. */
function failing({ sheets: [sheet] }: Projector, actor: string): Sheet {
  if (sheet === undefined) throw new Error("no sheet");
  return {
    ...sheet,
    fold(rows, event, place) {
      if (place.ref.id === actor && place.revision >= 3) throw new Error("not today");
      sheet.fold(rows, event, place);
    },
  };
}

describe.each(dialects)("a rebuild on $name", ({ missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let database: Database;
    serve(start, (opened) => ({ database } = opened));
    beforeEach(() => wipe(database));
    afterEach(endAll);

    test("I8: gives exactly the rows of the runner, from a small cache and many flushes", async () => {
      for (const seed of [71, 72]) {
        await wipe(database);
        const history = randomHistory(seed, 1_500, 60);
        const log = logOf(history);
        const { reached, runner } = run(database, log);
        await reached(history.length);
        await runner.stop();
        const before = await dump(database);
        const ports = rebuilding(database, log);
        expect(await rebuild(ports, projectors)).toMatchObject({ done: true });
        expect(await states(database)).toContain("messages 2 live");
        expect(await states(database)).toContain("messages 1 kept");
        expect(await dump(database), `seed ${seed}`).toEqual(before);
        expect(ports.seen.at(-1)).toMatchObject({ position: history.length, end: history.length });
      }
    });

    test("I9: reads go on through three swaps and a rollback, with traffic, without a step back", async () => {
      const history = randomHistory(73, 3_000, 40);
      const log = logOf(history.slice(0, 1_000), 256);
      const told: ((projector: string, sequence: number) => void)[] = [];
      const announce = (projector: string, sequence: number): void => {
        for (const call of told) call(projector, sequence);
      };
      const { reached, runner } = run(database, log, { announce });
      await reached(1_000);
      const queries = openQueries(database, (on) => {
        told.push(on);
        return { stop: () => undefined };
      });
      let appended = 1_000;
      let over = false;
      const writing = (async () => {
        while (!over && appended < history.length) {
          log.append(history.slice(appended, appended + 5));
          appended += 5;
          await new Promise<void>((next) => void systemClock.after(5, next));
        }
      })();
      let reads = 0;
      const reading = (async () => {
        const newest = new Map<string, number>();
        const positions = new Map<string, number>();
        while (!over) {
          const at = Math.floor(Math.random() * appended);
          const { ref } = history[at] ?? {};
          if (ref === undefined) continue;
          const [row, , places] = await Promise.all([
            queries.conversation(ref.tenant, ref.id, appended),
            queries.messages({ tenant: ref.tenant, conversation: ref.id, all: false, limit: 50 }),
            queries.positions(),
          ]);
          const before = newest.get(ref.id) ?? 0;
          // Read-your-writes: what was appended when it was asked is in it, and never less again.
          const written = history.slice(0, at + 1).findLast((one) => one.ref.id === ref.id);
          const least = Math.max(
            before,
            (written?.revision ?? 1) + (written?.events.length ?? 1) - 1,
          );
          expect(row?.revision ?? 0).toBeGreaterThanOrEqual(least);
          newest.set(ref.id, row?.revision ?? 0);
          for (const [name, position] of Object.entries(places)) {
            expect(position).toBeGreaterThanOrEqual(positions.get(name) ?? 0);
            positions.set(name, position);
          }
          reads += 1;
          await new Promise<void>((next) => void systemClock.after(3, next));
        }
      })();
      try {
        for (let round = 0; round < 3; round++) {
          const ports = rebuilding(database, log, { announce, handover_ms: 400 });
          expect(await rebuild(ports, [conversations, messages])).toMatchObject({ done: true });
        }
        const ports = rebuilding(database, log, { announce, handover_ms: 400 });
        await rollback(ports, projectors, "conversations");
        await rollback(ports, projectors, "messages");
      } finally {
        over = true;
        await Promise.all([writing, reading]);
        queries.stop();
      }
      expect(reads).toBeGreaterThan(20);
      await reached(appended);
      expect(await states(database)).toContain("messages 3 live");
      expect(await states(database)).toContain("messages 4 kept");
      // Kept ones are fed, so what a rollback shows is as whole as what it hides.
      await expect
        .poll(async () => (await readGenerations(database)).map(({ position }) => position))
        .toEqual(Array.from({ length: projectors.length + 2 }, () => appended));
      await runner.stop();
      const rows = await dump(database);
      await wipe(database);
      for (const lane of await openLanes(database)) await lane.apply(history.slice(0, appended));
      expect(await dump(database)).toEqual(rows);
    });

    test("I9: a swap brings what was missing within itself, and two rebuilds of one never mix", async () => {
      const history = randomHistory(78, 900, 20);
      for (const lane of await openLanes(database)) await lane.apply(history);
      const before = await dump(database);
      const ports = rebuilding(database, logOf(history));
      const [one] = await begin(ports, [messages], null);
      if (one === undefined) throw new Error("nothing was begun");
      // Little is missing, then much: the one within the transaction, the other before it.
      await fill(ports, [one], 850);
      await finish(ports, one);
      const [two] = await begin(ports, [messages], null);
      if (two === undefined) throw new Error("nothing was begun");
      await fill(ports, [two], 100);
      await finish(ports, two);
      const places = (await readGenerations(database)).filter(({ name }) => name === "messages");
      expect(places.map(({ state, position }) => [state, position])).toEqual([
        ["kept", 900],
        ["live", 900],
      ]);
      expect(await dump(database)).toEqual(before);

      const log = logOf(history, 50);
      const source: LogSource = {
        ...log,
        async *read(reading) {
          let arrays = 0;
          for await (const batch of log.read(reading)) {
            if (arrays++ === 10) {
              await database.query(
                "UPDATE colloquy.generations SET position = position + 1 WHERE state = 'building'",
              );
            }
            yield batch;
          }
        },
      };
      const raced = rebuild(rebuilding(database, source), [turns]);
      await expect(raced).rejects.toThrow("Another rebuild of it is running");
      expect(await dump(database)).toEqual(before);
    });

    test("I8: an event that cannot be applied stops a rebuild, and the live one stays", async () => {
      const history = randomHistory(74, 300, 10);
      for (const lane of await openLanes(database)) await lane.apply(history);
      const before = await dump(database);
      const holed = history.map((one) =>
        one.sequence === 200 ? { ...one, revision: one.revision + 1 } : one,
      );
      const stopped = rebuild(rebuilding(database, logOf(holed)), [conversations]);
      await expect(stopped).rejects.toThrow(
        /commit at 200 of the conversation .* cannot be applied/,
      );
      const unknown: Logged[] = history.map((one) =>
        one.sequence === 100
          ? { ...one, reason: "its event type x.y is not known", undecodable: true }
          : one,
      );
      const source = { ...logOf(history), read: reader(unknown) };
      await expect(rebuild(rebuilding(database, source), [messages])).rejects.toThrow("x.y");
      const lost = history.filter(({ sequence }) => sequence !== 250);
      const cut = rebuild(rebuilding(database, logOf(lost)), [turns]);
      await expect(cut).rejects.toThrow("nothing stands at 250");
      expect(await dump(database)).toEqual(before);
    });

    test("I8: a read model as it was at a sequence, beside the live one, until it is dropped", async () => {
      const history = randomHistory(75, 600, 20);
      for (const lane of await openLanes(database)) await lane.apply(history);
      const ports = rebuilding(database, logOf(history));
      await buildPast(ports, projectors, 350);
      const was = await database.query(
        "SELECT t::text FROM read_until_350.messages t ORDER BY tenant, conversation, id",
      );
      const live = await dump(database);
      await rebuild(ports, [messages]);
      expect(await states(database)).toContain("messages 2 until");
      for (const one of await readGenerations(database)) {
        if (one.state !== "live") await dropGeneration(database, one);
      }
      const left = await database.query(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(read_until|p_)'",
      );
      expect(left).toHaveLength(projectors.length);
      expect(await dump(database)).toEqual(live);
      await wipe(database);
      for (const lane of await openLanes(database)) await lane.apply(history.slice(0, 350));
      const then = await database.query(
        "SELECT t::text FROM read.messages t ORDER BY tenant, conversation, id",
      );
      expect(was).toEqual(then);
      expect(was.length).toBeGreaterThan(20);
    });

    test("I8: verify finds one changed, one lost and one foreign row while the runner goes on", async () => {
      const history = randomHistory(76, 1_500, 30);
      const log = logOf(history.slice(0, 1_000));
      const { reached, runner } = run(database, log);
      await reached(1_000);
      const ports = rebuilding(database, log);
      const growing = (async () => {
        for (let at = 1_000; at < 1_500; at += 10) {
          log.append(history.slice(at, at + 10));
          await new Promise<void>((next) => void systemClock.after(10, next));
        }
      })();
      for (const projector of projectors) {
        expect((await verify(ports, projector)).differences, projector.name).toEqual([]);
      }
      await growing;
      await reached(1_500);
      await runner.stop();
      const [victim] = await database.query(
        "SELECT id::text FROM p_messages_1_1.messages WHERE body <> '' LIMIT 1",
      );
      await database.query("UPDATE p_messages_1_1.messages SET body = body || '.' WHERE id = $1", [
        String(victim?.["id"]),
      ]);
      const [lost] = await database.query(
        `DELETE FROM p_messages_1_1.message_heads WHERE (tenant, conversation) =
           (SELECT tenant, conversation FROM p_messages_1_1.message_heads LIMIT 1)
         RETURNING conversation::text AS id`,
      );
      await database.query(
        `INSERT INTO p_messages_1_1.message_heads (tenant, conversation, queued)
         VALUES ('zeta', '00000000-0000-7000-8000-000000000000', '')`,
      );
      const { differences, position } = await verify(ports, messages);
      expect(position).toBe(1_500);
      expect(
        differences.map(({ key, live, rebuilt }) => [
          key["id"] ?? key["conversation"],
          live !== null,
          rebuilt !== null,
        ]),
      ).toEqual([
        [victim?.["id"], true, true],
        [lost?.["id"], false, true],
        ["00000000-0000-7000-8000-000000000000", true, false],
      ]);
      expect(await states(database)).toHaveLength(projectors.length);
    });

    test("I8: a parked actor is retried: its rows are as if nothing had been, and the runner goes on", async () => {
      const history = randomHistory(77, 400, 6);
      const victim = history[150]?.ref.id ?? "";
      const strict: Projector = { ...conversations, sheets: [failing(conversations, victim)] };
      const log = logOf(history.slice(0, 300));
      const first = run(database, log, { projectors: [strict, messages] });
      await first.reached(300);
      await first.runner.stop();
      const [parked] = await readParkedActors(database, victim);
      expect(parked).toMatchObject({
        projector: "conversations",
        id: victim,
        kind: "conversation",
      });
      const second = run(database, log, { projectors: [conversations, messages] });
      await second.reached(300);
      const read: ReadActor = async function* (ref, after) {
        for (const one of history.slice(0, await log.last())) {
          if (one.ref.id === ref.id && one.sequence > after.sequence) yield one;
        }
      };
      if (parked === undefined) throw new Error("nothing is parked");
      await expect(retryParked(database, [strict], parked, read)).rejects.toThrow("not today");
      expect(await retryParked(database, projectors, parked, read)).toBeGreaterThan(0);
      log.append(history.slice(300));
      await second.reached(400);
      await second.runner.stop();
      expect(await readParkedActors(database, null)).toEqual([]);
      const { conversations: rows } = await dump(database);
      await wipe(database);
      for (const lane of await openLanes(database, [conversations])) await lane.apply(history);
      expect((await dump(database))["conversations"]).toEqual(rows);
    });
  });
});
