/** The two databases that every suite of projections runs on, and a look at all that is in them. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { generationOf, readGenerations, schemaOf } from "../../projections/generations.ts";
import { ensureCatalog } from "../../projections/catalog.ts";
import { type Lane, openLane } from "../../projections/lane.ts";
import type { Projector } from "../../projections/projector.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { startPglite } from "../../projections/pglite-server.ts";
import { connectDatabase, type Database, sqlState } from "../../projections/postgres.ts";
import { openQueries, type Queries } from "../../projections/queries/queries.ts";
import { layPglite } from "../support/clusters.ts";
import { postgresBinaries, startPostgres, temporary } from "../support/services.ts";

export interface Served {
  readonly url: string;
  stop(): Promise<void>;
}

export const dialects = [
  {
    name: "pglite" as const,
    missing: false,
    async start(): Promise<Served> {
      const dir = temporary("pglite");
      const folder = join(dir, "data");
      await layPglite(folder);
      const pglite = await startPglite({ folder, log: () => undefined });
      const stop = async (): Promise<void> => {
        await pglite.stop();
        rmSync(dir, { recursive: true, force: true });
      };
      return { url: pglite.url, stop };
    },
  },
  {
    name: "postgres" as const,
    missing: postgresBinaries() === null,
    start: (): Promise<Served> => startPostgres(),
  },
];

/**
 * Empties a database, so that a test begins anew without a new server. A query that the test before
 * has left behind holds a view and waits for its table: then this is what the server ends (seen).
 */
export async function wipe(database: Database): Promise<void> {
  for (;;) {
    try {
      return await dropAll(database);
    } catch (error) {
      if (sqlState(error) !== "40P01") throw error;
    }
  }
}

async function dropAll(database: Database): Promise<void> {
  const schemas = await database.query(
    `SELECT nspname FROM pg_namespace WHERE nspname ~ '^(p_|colloquy$|read$|read_until_)'`,
  );
  for (const { nspname } of schemas) await database.query(`DROP SCHEMA ${String(nspname)} CASCADE`);
}

/** Makes the catalogue and opens each projector's first generation. */
export async function openLanes(
  database: Database,
  some: readonly Projector[] = projectors,
): Promise<Lane[]> {
  await ensureCatalog(database, some);
  return Promise.all(some.map((one) => openLane(database, generationOf(one, 1))));
}

/** Every row of every live table of the projectors, ordered: what must be equal after any history. */
export async function dump(database: Database): Promise<Record<string, unknown>> {
  const all: Record<string, unknown> = {};
  const live = (await readGenerations(database)).filter(({ state }) => state === "live");
  for (const { name, version, generation } of live) {
    const projector = projectors.find((one) => one.name === name);
    const schema = schemaOf(name, version, generation);
    for (const { table } of projector?.sheets ?? []) {
      all[table.name] = await database.query(
        `SELECT t::text FROM ${schema}.${table.name} t ORDER BY ${table.key.join(", ")}`,
      );
    }
  }
  return all;
}

/** What the tests of a block have of the server that `serve` started for them. */
export interface Opened {
  readonly url: string;
  readonly database: Database;
  readonly queries: Queries;
  /** Tells the queries how far a projector has come, as a runner does. */
  announce(projector: string, sequence: number): void;
}

/** Starts a server for the tests of this block, hands over what they need of it, and stops it behind them. */
export function serve(start: () => Promise<Served>, begin: (opened: Opened) => void): void {
  const ends: (() => Promise<void> | void)[] = [];
  beforeAll(async () => {
    const served = await start();
    ends.push(() => served.stop());
    const database = await connectDatabase(served.url);
    ends.push(() => database.close());
    let told: Opened["announce"] = () => undefined;
    const queries = openQueries(database, (on) => {
      told = on;
      return { stop: () => undefined };
    });
    ends.push(() => queries.stop());
    const announce: Opened["announce"] = (projector, sequence) => told(projector, sequence);
    begin({ url: served.url, database, queries, announce });
  });
  afterAll(async () => {
    for (const end of ends.toReversed()) await end();
  });
}
