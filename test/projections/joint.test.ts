/** Lanes that move in one transaction: as exact as alone, and no other's trouble is theirs. */
import { describe, expect, test } from "vitest";
import { ensureCatalog } from "../../projections/catalog.ts";
import { generationOf } from "../../projections/generations.ts";
import { jointly } from "../../projections/joint.ts";
import { type Lane, LostRace, openLane } from "../../projections/lane.ts";
import type { Database } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { dialects, dump, openLanes, serve, wipe } from "./databases.ts";
import { randomHistory } from "./history.ts";

for (const { name, missing, start } of dialects) {
  describe.skipIf(missing)(`on ${name}`, () => {
    let database: Database;
    serve(start, (opened) => ({ database } = opened));

    /** Lanes that share their transactions, and how many there were. */
    const joined = async (): Promise<{ lanes: Lane[]; begun(): number }> => {
      let begun = 0;
      const counting: Database = {
        ...database,
        transaction: (work) => {
          begun += 1;
          return database.transaction(work);
        },
      };
      await ensureCatalog(database, projectors);
      const together = jointly(counting);
      const opening = projectors.map((one) => openLane(together, generationOf(one, 1), true, true));
      return { lanes: await Promise.all(opening), begun: () => begun };
    };

    test("I8: all that a batch changes is one transaction, and the rows are those of one each", async () => {
      const history = randomHistory(3, 120);
      await wipe(database);
      for (const lane of await openLanes(database)) await lane.apply(history);
      const alone = await dump(database);
      await wipe(database);
      const { lanes, begun } = await joined();
      for (let at = 0; at < history.length; at += 20) {
        const batch = history.slice(at, at + 20);
        const parked = await Promise.all(lanes.map((lane) => lane.apply(batch)));
        expect(parked.flat()).toEqual([]);
      }
      await Promise.all(lanes.map((lane) => lane.settle()));
      expect(begun()).toBe(history.length / 20 + 1);
      expect(await dump(database)).toEqual(alone);
      for (const lane of lanes) expect(lane.checkpoint().position).toBe(history.length);
    });

    test("I8: one that lost its race, and one whose value is refused, hold up nobody else", async () => {
      const history = randomHistory(19, 51);
      const victim = history[50];
      if (victim === undefined) throw new Error("no victim");
      // No time at all: only those that store it are refused.
      const bad = { ...victim, at: "the day before yesterday" };
      const batch = history.map((commit) => (commit === victim ? bad : commit));
      await wipe(database);
      const single = await Promise.all(
        (await openLanes(database)).map(async (lane) => [
          lane.generation.projector.name,
          await lane.apply(batch),
        ]),
      );
      const expected = await dump(database);

      await wipe(database);
      const { lanes } = await joined();
      const [first, ...others] = lanes;
      const [rival] = await openLanes(database);
      await rival?.apply(batch);
      const results = await Promise.allSettled(lanes.map((lane) => lane.apply(batch)));
      expect(results[0]).toMatchObject({ status: "rejected", reason: expect.any(LostRace) });
      expect(
        others.map((lane, at) => {
          const result = results[at + 1];
          if (result?.status !== "fulfilled") throw new Error("held up", { cause: result?.reason });
          return [lane.generation.projector.name, result.value];
        }),
      ).toEqual(single.slice(1));
      expect(first?.checkpoint().position).toBe(0);
      await Promise.all(others.map((lane) => lane.settle()));
      expect(await dump(database)).toEqual(expected);
    });
  });
}
