/**
 * What must be there before anything is projected: the schema `colloquy` with the generations and the
 * parked actors, the schema `read` with the views that queries read, and a first generation of each
 * projector that has none; and the wall between tenants. Making it is idempotent and happens at every start of a runner's session,
 * so an embedded database that was begun anew fills itself.
 */
import { AppError } from "../schemas/errors.ts";
import { createGeneration, readGenerations, type Recorded } from "./generations.ts";
import type { Database, Sql } from "./postgres.ts";
import type { Projector } from "./projector.ts";
import { lookAtWall, makeReader, raiseWall } from "./row-security.ts";
import { createIndexes, showTables, shownBy } from "./tables.ts";

const catalog = [
  "CREATE SCHEMA IF NOT EXISTS colloquy",
  "CREATE SCHEMA IF NOT EXISTS read",
  `CREATE TABLE IF NOT EXISTS colloquy.generations (
    name text COLLATE "C", version integer, generation integer,
    state text NOT NULL CHECK (state IN ('building', 'live', 'kept', 'until')),
    position bigint NOT NULL DEFAULT 0, hash text NOT NULL DEFAULT '',
    epoch integer NOT NULL DEFAULT 0, until bigint,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version, generation))`,
  `CREATE UNIQUE INDEX IF NOT EXISTS generations_live
     ON colloquy.generations (name) WHERE state = 'live'`,
  `CREATE TABLE IF NOT EXISTS colloquy.parked (
    tenant text COLLATE "C", kind text, id uuid,
    projector text COLLATE "C", version integer, generation integer,
    revision integer NOT NULL, sequence bigint NOT NULL, reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, kind, id, projector, version, generation),
    FOREIGN KEY (projector, version, generation) REFERENCES colloquy.generations ON DELETE CASCADE)`,
  `CREATE OR REPLACE VIEW read.positions WITH (security_invoker = true) AS
    SELECT name, position FROM colloquy.generations WHERE state = 'live'`,
  `CREATE OR REPLACE VIEW read.parked WITH (security_invoker = true) AS
    SELECT k.tenant, k.kind, k.id, k.projector, k.revision, k.sequence, k.reason
    FROM colloquy.parked k JOIN colloquy.generations g
      ON g.name = k.projector AND g.version = k.version AND g.generation = k.generation
    WHERE g.state = 'live'`,
];

/** Two runners that start together must not both create: any constant of our own will do. */
const creating_lock = 7_265_001;

/** Makes what is missing and returns every generation that there is. */
export async function ensureCatalog(
  database: Database,
  projectors: readonly Projector[],
): Promise<Recorded[]> {
  const found = await readGenerations(database).catch((error: unknown) => {
    // No such table, or no database: the transaction below finds out which.
    if (error instanceof AppError && error.code === "unavailable") return null;
    throw error;
  });
  const complete = found !== null && missing(projectors, found).length === 0;
  if (complete && (await lookAtWall(database)).whole) return found;
  await makeReader(database);
  return database.transaction(async (sql) => {
    // PGlite is one session for all, where a transaction already excludes everybody.
    if (database.dialect === "postgres") {
      await sql.query("SELECT pg_advisory_xact_lock($1)", [creating_lock]);
    }
    await dropFormer(sql);
    for (const statement of catalog) await sql.query(statement);
    for (const projector of missing(projectors, await readGenerations(sql))) {
      const { schema } = await createGeneration(sql, projector, "live");
      for (const { table } of projector.sheets) await createIndexes(sql, schema, table);
      await showTables(sql, "read", schema, shownBy(projector));
    }
    await raiseWall(sql);
    return readGenerations(sql);
  });
}

/** The projectors that no generation is live of, whatever its version. */
const missing = (projectors: readonly Projector[], found: readonly Recorded[]): Projector[] =>
  projectors.filter(({ name }) => !found.some((one) => one.name === name && one.state === "live"));

/** Read models of before there were generations are filled anew from the log. */
async function dropFormer(sql: Sql): Promise<void> {
  const former = await sql.query("SELECT 1 WHERE to_regclass('colloquy.checkpoints') IS NOT NULL");
  if (former.length === 0) return;
  const schemas = await sql.query(
    "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(p_.*_[0-9]+_[0-9]+|colloquy|read)$'",
  );
  for (const { nspname } of schemas) await sql.query(`DROP SCHEMA ${String(nspname)} CASCADE`);
}
