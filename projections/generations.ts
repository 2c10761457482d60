/**
 * The generations of read models: one row of `colloquy.generations` each, one of them live. That it
 * is live stands in the row that its checkpoint moves in, so whoever feeds it learns with every batch
 * what it is: a swap that waited for that row is seen, where a look at another table could miss it.
 */
import { AppError } from "../schemas/errors.ts";
import { type ActorRef, refKey } from "../schemas/ids.ts";
import type { Sql, SqlRow } from "./postgres.ts";
import type { Poison, Projector } from "./projector.ts";
import { createTables } from "./tables.ts";

/**
 * `building`: a rebuild fills it. `live`: the views show it. `kept`: the views showed it, and it is
 * fed so that a rollback never steps back. `until`: it stands at a sequence of the past for good.
 */
export type State = "building" | "live" | "kept" | "until";

/** One generation of a projector's tables. */
export interface Generation {
  readonly projector: Projector;
  readonly generation: number;
  /** Where its tables are. */
  readonly schema: string;
}

/** How far a generation has come: an EVENTS sequence (0: nothing yet) and the commit's hash there. */
export interface Place {
  readonly position: number;
  readonly hash: string;
}

/** A place, and the number of times that somebody else changed what a feeder must know. */
export interface Checkpoint extends Place {
  readonly epoch: number;
}

/** A row of the catalogue, whoever's code can read it. */
export interface Recorded extends Checkpoint {
  readonly name: string;
  readonly version: number;
  readonly generation: number;
  readonly state: State;
  /** The sequence it is to stop at; null for one that goes on. */
  readonly until: number | null;
}

export const schemaOf = (name: string, version: number, generation: number): string =>
  `p_${name}_${version}_${generation}`;

/** The name of the lease to feed a projector: two versions run side by side. */
export const leaseOf = ({ name, version }: Projector): string => `${name}-${version}`;

export const generationOf = (projector: Projector, generation: number): Generation => ({
  projector,
  generation,
  schema: schemaOf(projector.name, projector.version, generation),
});

const recorded = (row: SqlRow): Recorded => ({
  name: String(row["name"]),
  version: Number(row["version"]),
  generation: Number(row["generation"]),
  // The table's own check.
  state: row["state"] as State,
  position: Number(row["position"]),
  hash: String(row["hash"]),
  epoch: Number(row["epoch"]),
  until: row["until"] === null ? null : Number(row["until"]),
});

const columns = "name, version, generation, state, position, hash, epoch, until";

/** All of them, by name, oldest first. */
export async function readGenerations(sql: Sql): Promise<Recorded[]> {
  const rows = await sql.query(
    `SELECT ${columns} FROM colloquy.generations ORDER BY name, version, generation`,
  );
  return rows.map(recorded);
}

/** The live one, locked until the transaction ends; null when there is none. */
export async function lockLive(sql: Sql, name: string): Promise<Recorded | null> {
  const [row] = await sql.query(
    `SELECT ${columns} FROM colloquy.generations WHERE name = $1 AND state = 'live' FOR UPDATE`,
    [name],
  );
  return row === undefined ? null : recorded(row);
}

/** The position of one, locked until the transaction ends. Throws when it is gone. */
export async function lockOne(sql: Sql, one: Generation): Promise<number> {
  const [row] = await sql.query(
    `SELECT position FROM colloquy.generations
     WHERE name = $1 AND version = $2 AND generation = $3 FOR UPDATE`,
    keyOf(one),
  );
  if (row === undefined) throw new AppError("unavailable", "The read model's checkpoint is gone.");
  return Number(row["position"]);
}

/** Makes an empty generation with its tables, without secondary indexes. */
export async function createGeneration(
  sql: Sql,
  projector: Projector,
  state: State,
  until: number | null = null,
): Promise<Generation> {
  const { name, version } = projector;
  const [row] = await sql.query(
    `INSERT INTO colloquy.generations (name, version, generation, state, until)
     SELECT $1, $2, coalesce(max(generation), 0) + 1, $3, $4::bigint
     FROM colloquy.generations WHERE name = $1 RETURNING generation`,
    [name, version, state, until],
  );
  const one = generationOf(projector, Number(row?.["generation"]));
  await createTables(sql, one.schema, projector);
  return one;
}

const keyOf = ({ projector, generation }: Generation): [string, number, number] => [
  projector.name,
  projector.version,
  generation,
];

export async function readCheckpoint(sql: Sql, one: Generation): Promise<Checkpoint> {
  const [row] = await sql.query(
    `SELECT position, hash, epoch FROM colloquy.generations
     WHERE name = $1 AND version = $2 AND generation = $3`,
    keyOf(one),
  );
  if (row === undefined) throw new AppError("unavailable", "The read model's checkpoint is gone.");
  const { position, hash, epoch } = row;
  return { position: Number(position), hash: String(hash), epoch: Number(epoch) };
}

/**
 * Moves the checkpoint; resolves with the state of the generation, or with null when it no longer
 * stands at `expected`: somebody else was here.
 */
export async function moveCheckpoint(
  sql: Sql,
  one: Generation,
  expected: Checkpoint,
  to: Place,
): Promise<State | null> {
  const [row] = await sql.query(
    `UPDATE colloquy.generations SET position = $6, hash = $7, updated_at = now()
     WHERE name = $1 AND version = $2 AND generation = $3 AND position = $4 AND epoch = $5
     RETURNING state`,
    [...keyOf(one), expected.position, expected.epoch, to.position, to.hash],
  );
  // The table's own check.
  return row === undefined ? null : (row["state"] as State);
}

/** The actors that this generation has parked, by `refKey`. */
export async function readParked(sql: Sql, one: Generation): Promise<Set<string>> {
  const rows = await sql.query(
    `SELECT tenant, kind, id::text FROM colloquy.parked
     WHERE projector = $1 AND version = $2 AND generation = $3`,
    keyOf(one),
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
      ...keyOf(one),
      ...[ref.tenant, ref.kind, ref.id, revision, sequence],
      reason.replaceAll("\0", "").slice(0, 1_000),
    ],
  );
}
