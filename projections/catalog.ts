/**
 * The tables of projections: for each projector a schema `p_<name>_<version>_<generation>`, in
 * schema `read` the views that queries read, and in schema `colloquy` which generation is live,
 * how far each has come, and which actors are parked. Making it is idempotent and happens at every
 * start of a runner's session, so an embedded database that was begun anew fills itself.
 */
import { AppError } from "../schemas/errors.ts";
import type { ActorRef } from "../schemas/ids.ts";
import { refKey } from "../schemas/ids.ts";
import type { Database, Sql } from "./postgres.ts";
import type { Poison, Projector, Table } from "./projector.ts";

/** One generation of a projector's tables. */
export interface Generation {
  readonly projector: Projector;
  readonly generation: number;
  readonly schema: string;
}

/** How far a generation has come: an EVENTS sequence (0: nothing yet) and the commit's hash there. */
export interface Checkpoint {
  readonly position: number;
  readonly hash: string;
}

const schemaOf = ({ name, version }: Projector, generation: number): string =>
  `p_${name}_${version}_${generation}`;

const catalog = `
  CREATE SCHEMA IF NOT EXISTS colloquy;
  CREATE SCHEMA IF NOT EXISTS read;
  CREATE TABLE IF NOT EXISTS colloquy.projectors (
    name text PRIMARY KEY, version integer NOT NULL, generation integer NOT NULL);
  CREATE TABLE IF NOT EXISTS colloquy.checkpoints (
    name text, version integer, generation integer,
    position bigint NOT NULL, hash text NOT NULL, updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, version, generation));
  CREATE TABLE IF NOT EXISTS colloquy.parked (
    tenant text COLLATE "C", kind text, id uuid,
    projector text, version integer, generation integer,
    revision integer NOT NULL, sequence bigint NOT NULL, reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, kind, id, projector, version, generation));
  CREATE OR REPLACE VIEW read.positions AS
    SELECT c.name, c.position FROM colloquy.checkpoints c
    JOIN colloquy.projectors USING (name, version, generation);
  CREATE OR REPLACE VIEW read.parked AS
    SELECT k.tenant, k.kind, k.id, k.projector, k.revision, k.sequence, k.reason
    FROM colloquy.parked k JOIN colloquy.projectors p
      ON p.name = k.projector AND p.version = k.version AND p.generation = k.generation;`;

/** Two runners that start together must not both create: any constant of our own will do. */
const creating_lock = 7_265_001;

/**
 * Makes what is missing and returns the live generation of each projector. Throws
 * `AppError("unavailable")` with a sentence when a live read model is of another version.
 */
export async function ensureCatalog(
  database: Database,
  projectors: readonly Projector[],
): Promise<Generation[]> {
  const generations = await readCatalog(database, projectors).catch((error: unknown) => {
    if (error instanceof AppError && error.code === "unavailable") return null;
    throw error;
  });
  if (generations !== null && generations.length === projectors.length) return generations;
  return database.transaction(async (sql) => {
    // PGlite is one session for all, where a transaction already excludes everybody.
    if (database.dialect === "postgres") {
      await sql.query("SELECT pg_advisory_xact_lock($1)", [creating_lock]);
    }
    for (const statement of catalog.split(";\n")) await sql.query(statement);
    const live = new Set((await readCatalog(sql, projectors)).map((one) => one.projector.name));
    for (const projector of projectors) {
      if (!live.has(projector.name)) await createGeneration(sql, projector);
    }
    return readCatalog(sql, projectors);
  });
}

async function readCatalog(sql: Sql, projectors: readonly Projector[]): Promise<Generation[]> {
  const rows = await sql.query("SELECT name, version, generation FROM colloquy.projectors");
  const found: Generation[] = [];
  for (const projector of projectors) {
    const row = rows.find(({ name }) => name === projector.name);
    if (row === undefined) continue;
    if (row["version"] !== projector.version) {
      throw new AppError(
        "unavailable",
        `The read model ${projector.name} has version ${String(row["version"])} and this release ` +
          `needs version ${projector.version}: rebuild it, or run the release that made it.`,
      );
    }
    const generation = Number(row["generation"]);
    found.push({ projector, generation, schema: schemaOf(projector, generation) });
  }
  return found;
}

async function createGeneration(sql: Sql, projector: Projector): Promise<void> {
  const { name, version, sheets } = projector;
  const schema = schemaOf(projector, 1);
  await sql.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
  for (const { table } of sheets) {
    await sql.query(createTable(schema, table));
    for (const index of table.indexes) {
      await sql.query(`CREATE INDEX ON ${schema}.${table.name} ${index}`);
    }
    const shown = Object.keys(table.columns).filter((column) => !table.hidden.includes(column));
    await sql.query(
      `CREATE OR REPLACE VIEW read.${table.name} AS
       SELECT ${shown.join(", ")} FROM ${schema}.${table.name}`,
    );
  }
  await sql.query(
    "INSERT INTO colloquy.checkpoints (name, version, generation, position, hash) VALUES ($1, $2, 1, 0, '')",
    [name, version],
  );
  await sql.query("INSERT INTO colloquy.projectors VALUES ($1, $2, 1)", [name, version]);
}

function createTable(schema: string, table: Table): string {
  const columns = Object.entries(table.columns).map(
    ([column, type]) => `${column} ${type}${table.nullable.includes(column) ? "" : " NOT NULL"}`,
  );
  return `CREATE TABLE ${schema}.${table.name} (
    ${columns.join(", ")}, PRIMARY KEY (${table.key.join(", ")}))`;
}

export async function readCheckpoint(sql: Sql, one: Generation): Promise<Checkpoint> {
  const [row] = await sql.query(
    `SELECT position, hash FROM colloquy.checkpoints
     WHERE name = $1 AND version = $2 AND generation = $3`,
    [one.projector.name, one.projector.version, one.generation],
  );
  if (row === undefined) throw new AppError("unavailable", "The read model's checkpoint is gone.");
  return { position: Number(row["position"]), hash: String(row["hash"]) };
}

/** Moves the checkpoint; false when it no longer stands at `expected`: another runner was here. */
export async function moveCheckpoint(
  sql: Sql,
  one: Generation,
  expected: number,
  to: Checkpoint,
): Promise<boolean> {
  const moved = await sql.query(
    `UPDATE colloquy.checkpoints SET position = $5, hash = $6, updated_at = now()
     WHERE name = $1 AND version = $2 AND generation = $3 AND position = $4 RETURNING 1`,
    [one.projector.name, one.projector.version, one.generation, expected, to.position, to.hash],
  );
  return moved.length === 1;
}

/** The actors that this generation has parked, by `refKey`. */
export async function readParked(sql: Sql, one: Generation): Promise<Set<string>> {
  const rows = await sql.query(
    `SELECT tenant, kind, id::text FROM colloquy.parked
     WHERE projector = $1 AND version = $2 AND generation = $3`,
    [one.projector.name, one.projector.version, one.generation],
  );
  // The columns hold what `park` wrote: the parts of an ActorRef.
  return new Set(rows.map((row) => refKey(row as object as ActorRef)));
}

export async function park(sql: Sql, one: Generation, poison: Poison): Promise<void> {
  const { ref, revision, sequence, reason } = poison;
  await sql.query(
    `INSERT INTO colloquy.parked
       (projector, version, generation, tenant, kind, id, revision, sequence, reason)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
    [
      ...[one.projector.name, one.projector.version, one.generation],
      ...[ref.tenant, ref.kind, ref.id, revision, sequence],
      reason.replaceAll("\0", "").slice(0, 1_000),
    ],
  );
}
