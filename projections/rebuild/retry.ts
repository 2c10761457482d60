/**
 * Un-parks an actor: its events from the parked one up to the checkpoint are read again and applied in
 * one transaction, which also tells whoever feeds the generation that what it knows is old.
 */
import { type Commit, empty_head, type Head, headOf } from "../../schemas/commit.ts";
import { AppError } from "../../schemas/errors.ts";
import type { ActorRef, Kind } from "../../schemas/ids.ts";
import { generationOf } from "../generations.ts";
import type { Database } from "../postgres.ts";
import { applyBatch, type Projector } from "../projector.ts";
import type { ParkedActor } from "./status.ts";

/** An actor's commits behind `after`, up to what the log held at the call. */
export type ReadActor = (ref: ActorRef, after: Head) => AsyncIterable<Commit>;

/** Resolves with the number of commits applied. Throws `AppError` with a sentence. */
export async function retryParked(
  database: Database,
  projectors: readonly Projector[],
  parked: ParkedActor,
  read: ReadActor,
): Promise<number> {
  const { version, generation, tenant, id, sequence } = parked;
  const projector = projectors.find(
    (one) => one.name === parked.projector && one.version === version,
  );
  if (projector === undefined) {
    throw new AppError(
      "bad_request",
      `${parked.projector} version ${version} is another release's: retry it with that one.`,
    );
  }
  // `park` wrote the parts of an ActorRef.
  const ref: ActorRef = { tenant, kind: parked.kind as Kind, id };
  const one = generationOf(projector, generation);
  const commits: Commit[] = [];
  let head: Head = empty_head;
  const readOn = async (): Promise<void> => {
    for await (const commit of read(ref, head)) {
      head = headOf(commit);
      if (commit.sequence >= sequence) commits.push(commit);
    }
  };
  try {
    // Most of it before anybody waits.
    await readOn();
    return await database.transaction(async (sql) => {
      const [row] = await sql.query(
        `UPDATE colloquy.generations SET epoch = epoch + 1
         WHERE name = $1 AND version = $2 AND generation = $3 RETURNING position`,
        [projector.name, version, generation],
      );
      if (row === undefined) throw new AppError("bad_request", "That generation is gone.");
      await readOn();
      const position = Number(row["position"]);
      const missed = commits.filter((commit) => commit.sequence <= position);
      const [poison] = await applyBatch(projector, one.schema, missed, sql, () => false);
      if (poison !== undefined) throw new Error(poison.reason);
      await sql.query(
        `DELETE FROM colloquy.parked WHERE projector = $1 AND version = $2 AND generation = $3
           AND tenant = $4 AND kind = $5 AND id = $6`,
        [projector.name, version, generation, tenant, ref.kind, id],
      );
      return missed.length;
    });
  } catch (error) {
    if (error instanceof AppError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw new AppError("internal", `${projector.name} still cannot apply it: ${why}`, {
      cause: error,
    });
  }
}
