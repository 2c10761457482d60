/** Statements of one tenant that travel together and are kept by the server. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { connectDatabase, type Database, sqlState } from "../../projections/postgres.ts";
import { limits } from "../../schemas/limits.ts";
import { countingWay } from "./counting-way.ts";
import { dialects, openLanes, type Served } from "./databases.ts";
import { randomHistory } from "./history.ts";

describe.each(dialects)("statements on $name", ({ missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let served: Served;
    let database: Database;
    beforeAll(async () => {
      served = await start();
      database = await connectDatabase(served.url, { connections_max: 1 });
    });
    afterAll(async () => {
      await database?.close();
      await served?.stop();
    });

    test("what is asked for in the same moment is one transaction, each with its own rows", async () => {
      const sql = database.tenant("acme");
      const now = "SELECT now()::text AS now, $1::integer AS n";
      const [one, two, none, all] = await Promise.all([
        sql.query(now, [1]),
        sql.query(now, [2]),
        sql.query("SELECT 1 WHERE false"),
        sql.query("SELECT t, n FROM unnest($1::text[], $2::integer[]) AS of (t, n)", [
          ['"', "\\", "a,b", "{}", "", "NULL", null],
          [1, 2, 3, 4, 5, 6, null],
        ]),
      ]);
      expect([one[0]?.["n"], two[0]?.["n"], none]).toEqual([1, 2, []]);
      expect(one[0]?.["now"]).toBe(two[0]?.["now"]);
      expect(all.map(({ t }) => t)).toEqual(['"', "\\", "a,b", "{}", "", "NULL", null]);
      expect(all.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5, 6, null]);
      expect((await sql.query(now, [3]))[0]?.["now"]).not.toBe(one[0]?.["now"]);
    });

    test("values keep their types, from the first question on and when it is repeated", async () => {
      const text = `SELECT $1::text AS t, $2::bigint AS big, $3::boolean AS yes, $4::text AS none,
        $5::uuid AS id, 1.5::float8 AS f`;
      const id = "01998b1c-6f02-7b1d-9e3c-2a4b5c6d7e8f";
      for (let n = 0; n < 8; n++) {
        const rows = await database
          .tenant("acme")
          .query(text, [`ü${n}`, 2 ** 40 + n, true, null, id]);
        const row = { t: `ü${n}`, big: 2 ** 40 + n, yes: true, none: null, id, f: 1.5 };
        expect(rows).toEqual([row]);
      }
    });

    test("I10: a statement that is kept shows each tenant its own, and nothing outside of one", async () => {
      const text = "SELECT current_setting('colloquy.tenant', true) AS tenant";
      for (const tenant of ["acme", "other", "acme", "third", "other", "acme", "other"]) {
        expect(await database.tenant(tenant).query(text)).toEqual([{ tenant }]);
        expect((await database.query(text))[0]?.["tenant"] ?? "").toBe("");
      }
    });

    test("one that fails takes its company with it, and none of what comes after", async () => {
      const divide = "SELECT 10 / $1::integer AS n";
      for (let n = 0; n < 3; n++) {
        const sql = database.tenant("acme");
        const states = await Promise.all(
          [sql.query("SELECT 1 AS n"), sql.query(divide, [0]), sql.query("SELECT 2 AS n")].map(
            (one) => one.then(() => null, sqlState),
          ),
        );
        expect(states).toEqual(["22012", "22012", "22012"]);
        expect(await database.tenant("acme").query(divide, [5])).toEqual([{ n: 2 }]);
        const unknown = database.tenant("acme").query("SELECT nothing FROM nowhere");
        await expect(unknown).rejects.toMatchObject({ code: "unavailable" });
      }
    });

    test("I11: a plan is kept for a while, and only so many", async () => {
      const text = "SELECT 'a plan' AS what, $1::integer AS n";
      const sql = database.tenant("acme");
      const since = async (): Promise<unknown> => {
        await sql.query(text, [1]);
        const rows = await database.query(
          "SELECT prepare_time::text AS at FROM pg_prepared_statements WHERE statement LIKE '%a plan%'",
        );
        expect(rows).toHaveLength(1);
        return rows[0]?.["at"];
      };
      const first = await since();
      expect(await since()).toBe(first);
      const now = performance.now();
      const later = vi.spyOn(performance, "now").mockReturnValue(now + 10_500);
      expect(await since()).not.toBe(first);
      later.mockRestore();
      for (let n = 0; n < limits.statements_kept_max + 20; n++) {
        expect(await sql.query(`SELECT ${n} AS n`)).toEqual([{ n }]);
      }
      const [kept] = await database.query("SELECT count(*) AS n FROM pg_prepared_statements");
      expect(kept?.["n"]).toBe(limits.statements_kept_max);
    });

    test("a server that has forgotten them, or another's columns behind the name, costs nobody an answer", async () => {
      const text = "SELECT * FROM shown";
      const ask = () => database.tenant("acme").query(text);
      await database.query("CREATE VIEW shown AS SELECT 1 AS n");
      await database.query("GRANT SELECT ON shown TO PUBLIC");
      expect(await ask()).toEqual([{ n: 1 }]);
      await database.query("DEALLOCATE ALL");
      expect(await ask()).toEqual([{ n: 1 }]);
      // From here on this connection keeps nothing; another one does.
      const other = await connectDatabase(served.url, { connections_max: 1 });
      const others = () => other.tenant("acme").query(text);
      expect(await others()).toEqual([{ n: 1 }]);
      await database.query("DROP VIEW shown");
      await database.query("CREATE VIEW shown AS SELECT 'one' AS word, 2 AS n");
      await database.query("GRANT SELECT ON shown TO PUBLIC");
      expect(await others()).toEqual([{ word: "one", n: 2 }]);
      expect(await ask()).toEqual([{ word: "one", n: 2 }]);
      await other.close();
    });

    test("BEGIN, the checkpoint and the question for stored rows leave in one write, then the rows, then COMMIT", async () => {
      const way = await countingWay(served.url);
      const counted = await connectDatabase(way.url, { connections_max: 1 });
      const history = randomHistory(5, 40, 1);
      const [lane] = await openLanes(counted);
      if (lane === undefined) throw new Error("no lane");
      const counts: number[] = [];
      for (let at = 0; at < 40; at += 10) {
        way.count();
        await lane.apply(history.slice(at, at + 10));
        counts.push(way.count());
      }
      await counted.close();
      way.close();
      expect(counts).toEqual([3, 3, 3, 3]);
    });
  });
});
