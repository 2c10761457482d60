/** Rebuilding processes that are killed with -9 at random moments, until one comes to its end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { readGenerations } from "../../projections/generations.ts";
import type { Database } from "../../projections/postgres.ts";
import { dialects, dump, openLanes, serve } from "./databases.ts";
import { randomHistory, seeded } from "./history.ts";
import { quick } from "../support/programs.ts";

const commits = 2_000;
const kills = { postgres: 8, pglite: 4 } as const;

describe.each(dialects)("a killed rebuild on $name", ({ name, missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let url: string;
    let database: Database;
    serve(start, (opened) => ({ url, database } = opened));

    /** Resolves with what it said last; killed when it has said so many such lines. */
    const child = async (line: RegExp, count: number, slow_ms: number): Promise<string> => {
      const words = [
        ...[...quick, `${import.meta.dirname}/rebuild-child.ts`, url],
        ...["91", String(commits), String(slow_ms)],
      ];
      const process_ = spawn(process.execPath, words, { stdio: ["ignore", "pipe", "inherit"] });
      let said = "";
      process_.stdout.on("data", (chunk: Buffer) => {
        said += chunk.toString();
        if (said.split("\n").filter((one) => line.test(one)).length >= count) {
          process_.kill("SIGKILL");
        }
      });
      await once(process_, "close");
      return said.trim().split("\n").at(-1) ?? "";
    };

    test("I8: ends in an equal read model, wherever it was killed", async () => {
      const history = randomHistory(91, commits, 40);
      for (const lane of await openLanes(database)) {
        for (let at = 0; at < commits; at += 500) await lane.apply(history.slice(at, at + 500));
      }
      const expected = await dump(database);
      const random = seeded(92);
      const reached: number[] = [];
      for (let kill = 0; kill < kills[name]; kill++) {
        // By what it has done, since what it does in a time is the machine's matter: most of them die on
        // the way, slower than they could be, and some in the last steps.
        if (kill % 4 === 3) await child(/^(Making|Swapping)/, 1 + Math.floor(random() * 2), 0);
        else await child(/^reading$/, 1 + Math.floor(random() * 15), 8);
        const building = (await readGenerations(database)).find(
          ({ state }) => state === "building",
        );
        reached.push(building?.position ?? 0);
      }
      expect(await child(/never/, 1, 0)).toBe("done");
      expect(new Set(reached).size, reached.join(" ")).toBeGreaterThan(1);
      const live = (await readGenerations(database)).filter(({ state }) => state === "live");
      expect(live.every(({ generation, position }) => generation > 1 && position === commits)).toBe(
        true,
      );
      expect(await dump(database)).toEqual(expected);
    });
  });
});
