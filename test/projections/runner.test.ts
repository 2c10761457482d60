/** The runner against real databases that die under it; the log is an array that grows. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Pglite, startPglite } from "../../projections/pglite-server.ts";
import { connectDatabase, type Database } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import type { Leases } from "../../projections/runner.ts";
import type { Commit } from "../../schemas/commit.ts";
import { layPglite } from "../support/clusters.ts";
import { postgresBinaries, startPostgres, temporary } from "../support/services.ts";
import { dump, wipe } from "./databases.ts";
import { randomHistory } from "./history.ts";
import { logOf } from "./memory-log.ts";
import { afterwards, endAll, run } from "./running.ts";

afterEach(endAll);

/** One embedded database for the file, emptied for each test; it survives being killed. */
let embedded: Pglite;
const home = temporary("runner");
beforeAll(async () => {
  const folder = join(home, "data");
  await layPglite(folder);
  embedded = await startPglite({ folder, log: () => undefined });
});
afterAll(async () => {
  await embedded?.stop();
  rmSync(home, { recursive: true, force: true });
});

async function pglite(): Promise<{ database: Database; pid(): number }> {
  const database = await connectDatabase(embedded.url);
  afterwards.push(() => database.close());
  await wipe(database);
  return { database, pid: () => embedded.pid };
}

/** What the whole history gives in one go, on the same database, after wiping it. */
async function expected(database: Database, history: readonly Commit[]): Promise<unknown> {
  await wipe(database);
  const { runner, reached } = run(database, logOf([...history]));
  await reached(history.length);
  await runner.stop();
  return dump(database);
}

describe("the runner", () => {
  test("I8: catch-up and live: everything is projected, and readiness says so", async () => {
    const { database } = await pglite();
    const history = randomHistory(41, 900, 20);
    const log = logOf(history.slice(0, 800));
    const { runner, reached } = run(database, log);
    await reached(800);
    log.append(history.slice(800));
    await reached(900);
    await expect.poll(() => runner.caughtUp()).toBe(true);
    expect(runner.lag()).toEqual(Object.fromEntries(projectors.map(({ name }) => [name, 0])));
    await runner.stop();
    const rows = await dump(database);
    expect(rows).toEqual(await expected(database, history));
  });

  test("I8: PGlite killed again and again in mid-batch: nothing skipped, nothing twice", async () => {
    const { database, pid } = await pglite();
    const history = randomHistory(43, 900, 30);
    const log = logOf([]);
    const { reached, runner } = run(database, log);
    const step = 180;
    for (let at = 0; at < history.length; at += step) {
      log.append(history.slice(at, at + step));
      // Killed while these are being written: the runner has just been given them.
      await reached(Math.max(0, at - 100));
      if (at + step < history.length) process.kill(pid(), "SIGKILL");
    }
    await reached(history.length);
    await runner.stop();
    const rows = await dump(database);
    expect(rows).toEqual(await expected(database, history));
  });

  test.skipIf(postgresBinaries() === null)(
    "I8: Postgres sessions ended in mid-batch, and two runners at once: nothing twice",
    async () => {
      const server = await startPostgres();
      afterwards.push(() => server.stop());
      const database = await connectDatabase(server.url);
      const killer = await connectDatabase(server.url, { name: "killer" });
      afterwards.push(async () => {
        await database.close();
        await killer.close();
      });
      const history = randomHistory(47, 2_000, 30);
      const log = logOf([]);
      const one = run(database, log);
      const two = run(database, log);
      for (let at = 0; at < history.length; at += 200) {
        log.append(history.slice(at, at + 200));
        await killer.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'colloquy'",
        );
      }
      await Promise.all([one.reached(history.length), two.reached(history.length)]);
      await one.runner.stop();
      await two.runner.stop();
      const rows = await dump(database);
      expect(rows).toEqual(await expected(database, history));
    },
    120_000,
  );

  test("I8: a log that is behind, or another one, stops it with a sentence and unreadiness", async () => {
    const { database } = await pglite();
    const history = randomHistory(53, 200, 5);
    const first = run(database, logOf([...history]));
    await first.reached(history.length);
    await first.runner.stop();

    const behind = run(database, logOf(history.slice(0, 150)));
    await expect.poll(() => behind.runner.problem()).toContain("the log is behind");
    expect(behind.runner.caughtUp()).toBe(false);

    const other = history.map((commit) => ({ ...commit, hash: "f".repeat(64) }));
    const replaced = run(database, logOf(other));
    await expect.poll(() => replaced.runner.problem()).toContain("another commit");
    expect(replaced.reports).toHaveLength(1);
  });

  test("a stand-by takes over when the lease comes to it", async () => {
    const { database } = await pglite();
    const history = randomHistory(59, 300, 5);
    const log = logOf(history.slice(0, 100));
    let owner = "one";
    const changed = new Set<() => void>();
    const leaseOf = (name: string): Leases => ({
      held: () => owner === name,
      changes(call) {
        changed.add(call);
        return () => void changed.delete(call);
      },
    });
    const one = run(database, log, { leases: leaseOf("one") });
    const two = run(database, log, { leases: leaseOf("two") });
    await one.reached(100);
    owner = "two";
    for (const call of changed) call();
    log.append(history.slice(100));
    await two.reached(300);
    expect(one.runner.positions()["messages"]).toBeGreaterThanOrEqual(100);
  });

  test("I8: a database begun anew under it is filled from the beginning of the log", async () => {
    const { database } = await pglite();
    const history = randomHistory(61, 300, 5);
    const log = logOf(history.slice(0, 200));
    const { reached, runner } = run(database, log);
    await reached(200);
    for (const schema of ["colloquy", "read"])
      await database.query(`DROP SCHEMA ${schema} CASCADE`);
    for (const { name } of projectors) await database.query(`DROP SCHEMA p_${name}_1_1 CASCADE`);
    log.append(history.slice(200));
    await reached(300);
    await runner.stop();
    const rows = await dump(database);
    expect(rows).toEqual(await expected(database, history));
  });
});
