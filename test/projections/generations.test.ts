/** Generations and versions side by side, and a log that contradicts what was made of it. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ensureCatalog } from "../../projections/catalog.ts";
import { readGenerations } from "../../projections/generations.ts";
import { Hole, type Logged } from "../../projections/lane.ts";
import type { LogSource } from "../../projections/log-source.ts";
import type { Database } from "../../projections/postgres.ts";
import type { Projector } from "../../projections/projector.ts";
import { conversations } from "../../projections/projectors/conversations.ts";
import { messages } from "../../projections/projectors/messages.ts";
import { rebuild } from "../../projections/rebuild/rebuild.ts";
import { rollback } from "../../projections/rebuild/rollback.ts";
import { limits } from "../../schemas/limits.ts";
import { dialects, openLanes, serve, wipe } from "./databases.ts";
import { randomHistory } from "./history.ts";
import { logOf } from "./memory-log.ts";
import { rebuilding } from "./rebuilding.ts";
import { endAll, run } from "./running.ts";

/** The next release's: another version, and a column that the one before lacks. */
const newer: Projector = {
  ...conversations,
  version: 2,
  sheets: conversations.sheets.map((sheet) => ({
    ...sheet,
    table: {
      ...sheet.table,
      columns: { shouted: "text", ...sheet.table.columns, tenant: 'text COLLATE "C"' },
      nullable: [...sheet.table.nullable, "shouted"],
    },
    fold(rows, event, place) {
      sheet.fold(rows, event, place);
      const row = rows.get(null);
      if (row !== undefined)
        rows.put(null, { ...row, shouted: String(row["title"]).toUpperCase() });
    },
  })),
};

describe.each(dialects)("generations on $name", ({ missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let database: Database;
    serve(start, (opened) => ({ database } = opened));
    beforeEach(() => wipe(database));
    afterEach(endAll);

    const found = async (): Promise<string[]> =>
      (await readGenerations(database)).map(
        ({ version, generation, state, position }) =>
          `${version}.${generation} ${state} at ${position}`,
      );

    test("I9: two releases run side by side: each feeds its version, and views keep their columns", async () => {
      const history = randomHistory(81, 700, 20);
      const log = logOf(history.slice(0, 300));
      const old = run(database, log, { projectors: [conversations] });
      await old.reached(300);
      const fresh = run(database, log, { projectors: [newer] });
      await expect
        .poll(() => fresh.runner.problem())
        .toContain('run "colloquy projections rebuild conversations"');
      expect(fresh.runner.caughtUp()).toBe(false);
      // The old one goes on as if nothing were.
      log.append(history.slice(300, 400));
      await old.reached(400);
      expect(old.runner.problem()).toBeNull();

      await rebuild(rebuilding(database, log, { handover_ms: 1_500 }), [newer]);
      await expect.poll(() => fresh.runner.problem()).toBeNull();
      log.append(history.slice(400, 500));
      await fresh.reached(500);
      await expect.poll(found).toEqual(["1.1 kept at 500", "2.2 live at 500"]);
      const shouted = await database.query(
        "SELECT count(shouted) AS there FROM read.conversations WHERE title IS NOT NULL",
      );
      expect(shouted[0]?.["there"]).toBeGreaterThan(0);
      // Only the live one is told: after the swap the old release announced nothing more.
      expect(Math.max(...old.announced("conversations"))).toBeLessThan(500);

      await fresh.runner.stop();
      const ports = rebuilding(database, log);
      await rollback(ports, [conversations], "conversations");
      log.append(history.slice(500));
      await old.reached(700);
      const nothing = await database.query(
        "SELECT count(shouted) AS there FROM read.conversations",
      );
      expect(nothing).toEqual([{ there: 0 }]);
      // The release that rolled back knows the other only by what the catalogue says.
      await expect(rollback(ports, [conversations], "conversations")).rejects.toThrow(
        "run the release that feeds it",
      );
    });

    test("a rebuild refuses a version that lacks what the views show, and an older one than is live", async () => {
      const history = randomHistory(82, 50, 5);
      for (const lane of await openLanes(database, [conversations])) await lane.apply(history);
      const poorer: Projector = {
        ...conversations,
        version: 2,
        sheets: conversations.sheets.map((sheet) => {
          const { origin: _, ...columns } = sheet.table.columns;
          return { ...sheet, table: { ...sheet.table, columns, indexes: [] } };
        }),
      };
      const ports = rebuilding(database, logOf(history));
      await expect(rebuild(ports, [poorer])).rejects.toThrow("shows origin text");
      expect(await found()).toEqual(["1.1 live at 50"]);
      await rebuild(ports, [newer]);
      await expect(rebuild(ports, [conversations])).rejects.toThrow("use the newer release");
    });

    test("I8: a hole in the log stops the runner with a sentence, before anything behind it is applied", async () => {
      const history = randomHistory(83, 200, 5);
      const log = logOf(history.filter(({ sequence }) => sequence !== 120));
      const { runner, reports } = run(database, log, { projectors: [conversations] });
      await expect.poll(() => runner.problem()).toContain("nothing stands at 120");
      expect(runner.caughtUp()).toBe(false);
      expect(reports).toHaveLength(1);
      const [position] = (await readGenerations(database)).map((one) => one.position);
      expect(position).toBeLessThan(120);
      const [lane] = await openLanes(database, [messages]);
      await expect(lane?.apply(history.slice(1))).rejects.toThrow(Hole);
    });

    test("I8: a hole that only the reader made is read again", async () => {
      const history: Logged[] = randomHistory(84, 200, 5);
      const log = logOf(randomHistory(84, 200, 5));
      let faults = 0;
      const read: LogSource["read"] = async function* (reading) {
        if (faults++ === 0) yield history.filter(({ sequence }) => sequence !== 70);
        yield* log.read(reading);
      };
      const { runner, reached } = run(database, { ...log, read }, { projectors: [conversations] });
      await reached(200);
      expect(runner.problem()).toBeNull();
      expect(faults).toBeGreaterThan(1);
    });

    test("I8: a log that comes back shorter while the runner runs stops it", async () => {
      const history = randomHistory(85, 200, 5);
      const log = logOf(history);
      let end = 200;
      const { runner, reached } = run(
        database,
        { ...log, last: () => Promise.resolve(end) },
        { projectors: [conversations] },
      );
      await reached(200);
      end = 150;
      await expect.poll(() => runner.problem()).toContain("the log is behind");
    });

    test("a projector that is far behind does not hold up the others", async () => {
      const ahead = 2 * limits.lanes_apart_max;
      const history = randomHistory(86, 100, 5).map((one) => ({
        ...one,
        sequence: one.sequence + ahead,
      }));
      await ensureCatalog(database, [conversations, messages]);
      // As if conversations had seen what messages, which is new, has not.
      await database.query(
        "UPDATE colloquy.generations SET position = $1, hash = 'seen' WHERE name = 'conversations'",
        [ahead],
      );
      const log = logOf(history);
      const source: LogSource = {
        ...log,
        hashAt: (sequence) => (sequence === ahead ? Promise.resolve("seen") : log.hashAt(sequence)),
        read: async function* (reading) {
          // The one that is behind gets nothing to read for as long as the test takes.
          if (reading.after > 0) yield* log.read(reading);
          else await new Promise((end) => reading.signal.addEventListener("abort", end));
        },
      };
      const both = run(database, source, { projectors: [conversations, messages] });
      await expect.poll(() => both.runner.positions()["conversations"]).toBe(ahead + 100);
      await expect
        .poll(() => both.runner.lag())
        .toEqual({ conversations: 0, messages: ahead + 100 });
    });
  });
});
