/** Everything that a database can do to a runner, one after the other: it backs off and goes on. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { connectDatabase, type Database } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { rebuild } from "../../projections/rebuild/rebuild.ts";
import { postgresBinaries, type Running, startPostgres } from "../support/services.ts";
import { dump, openLanes, wipe } from "./databases.ts";
import { randomHistory } from "./history.ts";
import { logOf } from "./memory-log.ts";
import { rebuilding } from "./rebuilding.ts";
import { endAll, run } from "./running.ts";

/** Refuses so many writes with an error code; a sequence counts, since a rollback leaves it. */
const refuse = async (database: Database, table: string, code: string): Promise<void> => {
  await database.query("CREATE SEQUENCE IF NOT EXISTS public.refused");
  await database.query("ALTER SEQUENCE public.refused RESTART");
  await database.query(
    `CREATE OR REPLACE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       IF nextval('public.refused') <= 2 THEN RAISE 'trouble' USING ERRCODE = '${code}'; END IF;
       RETURN NULL; END $$`,
  );
  await database.query(
    `CREATE OR REPLACE TRIGGER trouble BEFORE INSERT OR UPDATE ON ${table}
     FOR EACH STATEMENT EXECUTE FUNCTION public.refuse()`,
  );
};

describe.skipIf(postgresBinaries() === null)("a runner whose Postgres is in trouble", () => {
  let server: Running;
  let other: Database;
  beforeAll(async () => {
    server = await startPostgres();
    other = await connectDatabase(server.url, { name: "other" });
  });
  afterAll(async () => {
    await other?.close();
    await server?.stop();
  });
  afterEach(endAll);

  test("I8: it backs off and goes on, skips nothing and applies nothing twice", async () => {
    const history = randomHistory(95, 2_000, 30);
    const log = logOf([]);
    // Fewer connections than projectors, so that they wait for each other all the time.
    const database = await connectDatabase(server.url, { connections_max: 2, statement_ms: 300 });
    const { runner, reached, reports } = run(database, log);
    let at = 0;
    const append = (): void => {
      log.append(history.slice(at, at + 200));
      at += 200;
    };
    append();
    await reached(at);

    // Deadlock, serialization failure, time-out, full disk, out of memory, too many connections.
    for (const code of ["40P01", "40001", "57014", "53100", "53200", "53300"]) {
      const before = reports.length;
      await refuse(other, "p_messages_1_1.messages", code);
      append();
      await reached(at);
      expect(reports.length, code).toBeGreaterThan(before);
    }
    await other.query("DROP TRIGGER trouble ON p_messages_1_1.messages");

    // A statement that waits for another's lock until its time is over.
    let before = reports.length;
    await other.transaction(async (sql) => {
      await sql.query("LOCK TABLE p_turns_1_1.turns IN EXCLUSIVE MODE");
      append();
      await expect.poll(() => reports.length).toBeGreaterThan(before);
    });
    await reached(at);

    // Every connection of the pool is somebody else's for a while.
    const hogs = Array.from({ length: 6 }, () => database.query("SELECT pg_sleep(0.2)"));
    append();
    await Promise.all(hogs);
    await reached(at);

    // A session that is killed takes the whole server into recovery.
    before = reports.length;
    const [backend] = await database.query("SELECT pg_backend_pid() AS pid");
    process.kill(Number(backend?.["pid"]), "SIGKILL");
    append();
    await reached(at);
    expect(at).toBe(history.length);
    expect(runner.problem()).toBeNull();
    await expect.poll(() => runner.caughtUp()).toBe(true);
    await runner.stop();
    await database.close();

    const fresh = await connectDatabase(server.url);
    const rows = await dump(fresh);
    await wipe(fresh);
    for (const lane of await openLanes(fresh)) {
      for (let from = 0; from < at; from += 500) await lane.apply(history.slice(from, from + 500));
    }
    expect(await dump(fresh)).toEqual(rows);
    await fresh.close();
  });

  test("I8: a rebuild waits for what is away, and goes on from its checkpoint", async () => {
    const history = randomHistory(96, 2_000, 30);
    const database = await connectDatabase(server.url);
    await wipe(database);
    for (const lane of await openLanes(database)) {
      for (let at = 0; at < 2_000; at += 500) await lane.apply(history.slice(at, at + 500));
    }
    const rows = await dump(database);
    let killed = 0;
    const ports = rebuilding(database, logOf(history), {
      progress({ position }) {
        if (killed > 0 || position < 1_000) return;
        killed = position;
        void other
          .query("SELECT pg_backend_pid() AS pid")
          .then(([backend]) => process.kill(Number(backend?.["pid"]), "SIGKILL"));
      },
    });
    expect(await rebuild(ports, projectors)).toMatchObject({ done: true });
    expect(killed).toBeGreaterThan(0);
    expect(await dump(database)).toEqual(rows);
    await database.close();
  });
});
