/** A lane that tells the database late what it has reached: cheaper, and as safe. */
import { expect, test } from "vitest";
import { ensureCatalog } from "../../projections/catalog.ts";
import { generationOf } from "../../projections/generations.ts";
import { openLane } from "../../projections/lane.ts";
import type { Database } from "../../projections/postgres.ts";
import { concerns } from "../../projections/projector.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { dialects, dump, openLanes, serve, wipe } from "./databases.ts";
import { randomHistory } from "./history.ts";

const embedded = dialects.find(({ name }) => name === "pglite");
if (embedded === undefined) throw new TypeError("the embedded database is always there");
let database: Database;
serve(embedded.start, (opened) => ({ database } = opened));

test("I8: a lazy lane costs nothing for what changes no row, and dies without a loss", async () => {
  const history = randomHistory(8, 300);
  let commits = 0;
  await wipe(database);
  for (const projector of projectors) {
    const counting: Database = {
      ...database,
      transaction: (work) => {
        commits += 1;
        return database.transaction(work);
      },
    };
    await ensureCatalog(database, [projector]);
    const generation = generationOf(projector, 1);
    const quiet = history.findIndex((commit) => concerns(projector, commit));
    const before = quiet === -1 ? history.length : quiet;
    const lane = await openLane(counting, generation, true, true);
    const begun = commits;
    expect(await lane.apply(history.slice(0, before))).toEqual([]);
    expect(commits).toBe(begun);
    expect(lane.checkpoint().position).toBe(before);
    // It dies here: what it has reached is not in the database, and comes again.
    const next = await openLane(counting, generation, true, true);
    expect(next.checkpoint().position).toBe(0);
    for (let at = 0; at < history.length; at += 7) await next.apply(history.slice(at, at + 7));
    await next.settle();
    const stored = await openLane(database, generation);
    expect(stored.checkpoint().position).toBe(history.length);
  }
  const lazy = await dump(database);
  await wipe(database);
  for (const lane of await openLanes(database)) await lane.apply(history);
  expect(lazy).toEqual(await dump(database));
});
