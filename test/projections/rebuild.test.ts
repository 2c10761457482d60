/** Rebuilds beside a runner that serves: on both databases, with and without traffic. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readGenerations } from "../../projections/generations.ts";
import { projectors } from "../../projections/projectors/all.ts";
import type { Database } from "../../projections/postgres.ts";
import { rebuild } from "../../projections/rebuild/rebuild.ts";
import { dialects, dump, open, type Served, wipe } from "./databases.ts";
import { randomHistory } from "./history.ts";
import { logOf } from "./memory-log.ts";
import { rebuilding } from "./rebuilding.ts";
import { endAll, run } from "./running.ts";

const states = async (database: Database): Promise<string[]> =>
  (await readGenerations(database)).map(
    ({ name, generation, state }) => `${name} ${generation} ${state}`,
  );

describe.each(dialects)("a rebuild on $name", ({ missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let served: Served;
    let database: Database;
    beforeAll(async () => {
      served = await start();
      database = await open(served);
    }, 90_000);
    afterAll(async () => {
      await database?.close();
      await served?.stop();
    });
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
    }, 60_000);
  });
});
