/** Every generation as an operator wants to see it. */
import type { State } from "../generations.ts";
import type { Sql } from "../postgres.ts";

export interface Status {
  readonly name: string;
  readonly version: number;
  readonly generation: number;
  readonly state: State;
  /** An EVENTS sequence. */
  readonly position: number;
  /** Sequences between it and the log's end, or the sequence it is to stop at. */
  readonly lag: number;
  /** Actors. */
  readonly parked: number;
  /** Tables and indexes. */
  readonly bytes: number;
  /** When it last moved. */
  readonly updatedAt: string;
}

/** By name, oldest first; `end` is the last EVENTS sequence. */
export async function readStatus(sql: Sql, end: number): Promise<Status[]> {
  const rows = await sql.query(
    `SELECT name, version, generation, state, position,
       greatest(0, coalesce(until, $1::bigint) - position) AS lag,
       (SELECT count(*) FROM colloquy.parked k WHERE k.projector = g.name
          AND k.version = g.version AND k.generation = g.generation) AS parked,
       (SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c
          WHERE c.relkind = 'r' AND c.relnamespace =
            to_regnamespace('p_' || g.name || '_' || g.version || '_' || g.generation)) AS bytes,
       to_char(updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt"
     FROM colloquy.generations g ORDER BY name, version, generation`,
    [end],
  );
  // The select above has exactly these fields; counts and sequences come as numbers.
  return rows.map((row) => row as object as Status);
}

export interface ParkedActor {
  readonly projector: string;
  readonly version: number;
  readonly generation: number;
  readonly tenant: string;
  readonly kind: string;
  readonly id: string;
  /** The first event that is not in its rows, and the sequence of its commit. */
  readonly revision: number;
  readonly sequence: number;
  readonly reason: string;
  readonly at: string;
}

/** The actors that are parked, longest first; of one actor when `id` names it. */
export async function readParkedActors(sql: Sql, id: string | null): Promise<ParkedActor[]> {
  const rows = await sql.query(
    `SELECT projector, version, generation, tenant, kind, id::text, revision, sequence, reason,
       to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at
     FROM colloquy.parked WHERE $1::uuid IS NULL OR id = $1::uuid
     ORDER BY parked.at, projector LIMIT 1000`,
    [id],
  );
  // The select above has exactly these fields.
  return rows.map((row) => row as object as ParkedActor);
}
