/**
 * A rebuild: the next generation is made beside the live one, filled from the first commit on, indexed,
 * and swapped in. Queries go on throughout (I9). Killed at any moment, the next one goes on where it
 * was; what an earlier swap kept is dropped first, since it could no longer be rolled back to.
 */
import { AppError } from "../../schemas/errors.ts";
import { limits } from "../../schemas/limits.ts";
import { ensureCatalog } from "../catalog.ts";
import { compare, Contradiction, holeIn } from "../contradictions.ts";
import { createGeneration, type Generation, generationOf, type Recorded } from "../generations.ts";
import { Hole, LostRace } from "../lane.ts";
import { type Database, sqlState } from "../postgres.ts";
import type { Projector } from "../projector.ts";
import { checkViews, createIndexes, showTables, shownBy } from "../tables.ts";
import { fill, type FillPorts } from "./fill.ts";
import { finish, type FinishPorts, handOver } from "./finish.ts";
import { dropGeneration, pastViews } from "./swap.ts";

export interface RebuildPorts extends FillPorts, FinishPorts {
  /** Says what it does now. */
  readonly step: (what: string) => void;
}

/** What was made, or goes on being made when the signal came before the end. */
export interface Rebuilt {
  readonly generations: readonly Generation[];
  readonly done: boolean;
}

/**
 * Rebuilds read models from one decode and makes each live. Throws `AppError` with a sentence; what is
 * only away is waited for.
 */
export async function rebuild(
  ports: RebuildPorts,
  projectors: readonly Projector[],
): Promise<Rebuilt> {
  const { database, source, signal } = ports;
  const generations = await explained(ports, () => begin(ports, projectors, null));
  await patiently(ports, () => fillToTheEnd(ports, generations));
  if (signal.aborted) return { generations, done: false };
  ports.step("Making indexes.");
  await patiently(ports, async () => {
    for (const one of generations) await index(database, one);
  });
  await patiently(ports, async () => fill(ports, generations, await source.last()));
  if (signal.aborted) return { generations, done: false };
  ports.step("Swapping.");
  await explained(ports, () =>
    Promise.all(
      generations.map(async (one) => {
        await finish(ports, one);
        await handOver(ports, one);
      }),
    ),
  );
  return { generations, done: !signal.aborted };
}

/**
 * Builds read models as they were at an EVENTS sequence, with views of their own in the schema
 * `pastViews(until)`. They stand beside the live ones until they are dropped.
 */
export async function buildPast(
  ports: RebuildPorts,
  projectors: readonly Projector[],
  until: number,
): Promise<Rebuilt> {
  const { database, signal } = ports;
  const generations = await explained(ports, () => begin(ports, projectors, until));
  await patiently(ports, () => fill(ports, generations, until));
  if (signal.aborted) return { generations, done: false };
  ports.step("Making indexes.");
  await patiently(ports, async () => {
    for (const one of generations) {
      await index(database, one);
      await database.transaction(async (sql) => {
        const views = pastViews(until);
        await sql.query(`CREATE SCHEMA IF NOT EXISTS ${views}`);
        await showTables(sql, views, one.schema, shownBy(one.projector));
        await sql.query(
          `UPDATE colloquy.generations SET state = 'until'
           WHERE name = $1 AND version = $2 AND generation = $3`,
          [one.projector.name, one.projector.version, one.generation],
        );
      });
    }
  });
  return { generations, done: true };
}

/** The generations to fill: those that an earlier rebuild left, else new ones. */
export async function begin(
  ports: Pick<RebuildPorts, "database" | "source">,
  projectors: readonly Projector[],
  until: number | null,
): Promise<Generation[]> {
  const { database, source } = ports;
  const generations: Generation[] = [];
  for (const projector of projectors) {
    const { name, version } = projector;
    const recorded = (await ensureCatalog(database, [projector])).filter(
      (one) => one.name === name,
    );
    const live = recorded.find(({ state }) => state === "live");
    if (live !== undefined && live.version > version) {
      throw new AppError(
        "bad_request",
        `The read model ${name} has version ${live.version}, and this release only knows version ${version}: use the newer release.`,
      );
    }
    const left = recorded.find((one) => isLeft(one, version, until));
    if (left !== undefined) {
      await compare(source, name, left);
      generations.push(generationOf(projector, left.generation));
      continue;
    }
    if (until === null) {
      for (const one of recorded) if (isFormer(one, version)) await dropGeneration(database, one);
    }
    const one = await database.transaction(async (sql) => {
      const made = await createGeneration(sql, projector, "building", until);
      await checkViews(sql, made.schema, projector);
      return made;
    });
    // There, an index made late would hold up everybody.
    if (database.dialect === "pglite") await index(database, one);
    generations.push(one);
  }
  return generations;
}

const isLeft = (one: Recorded, version: number, until: number | null): boolean =>
  one.state === "building" && one.version === version && one.until === until;

/** A newer release's rebuild is its own. */
const isFormer = (one: Recorded, version: number): boolean =>
  one.state === "kept" || (one.state === "building" && one.until === null && one.version < version);

async function index(database: Database, { schema, projector }: Generation): Promise<void> {
  for (const { table } of projector.sheets) {
    await createIndexes(database, schema, table);
    // The planner must know what it has before the first query comes.
    if (database.dialect === "postgres") await database.query(`ANALYZE ${schema}.${table.name}`);
  }
}

/** Fills until so little is missing that the swap's own feeding does the rest. */
async function fillToTheEnd(
  ports: RebuildPorts,
  generations: readonly Generation[],
): Promise<void> {
  for (let end = await ports.source.last(); !ports.signal.aborted;) {
    await fill(ports, generations, end);
    const now = await ports.source.last();
    if (now - end < limits.lanes_apart_max) return;
    end = now;
  }
}

/** Does it again, from the checkpoints, for as long as something is only away. */
async function patiently(ports: RebuildPorts, work: () => Promise<void>): Promise<void> {
  for (let failures = 0; !ports.signal.aborted; failures++) {
    try {
      await explained(ports, work);
      return;
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== "unavailable") throw error;
      ports.waits(error.message);
      const ms = Math.min(limits.runner_backoff_ms * 2 ** failures, limits.runner_backoff_ms_max);
      await new Promise<void>((resolve) => void ports.clock.after(ms, resolve));
    }
  }
}

/** Says in a sentence what ends a rebuild. */
export async function explained<T>(
  ports: Pick<RebuildPorts, "source">,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const error = thrown instanceof Hole ? await holeIn(ports.source, thrown) : thrown;
    if (error instanceof LostRace) {
      throw new AppError("bad_request", "Another rebuild of it is running; let that one finish.", {
        cause: error,
      });
    }
    if (!(error instanceof AppError) && sqlState(error) !== null) {
      const why = error instanceof Error ? error.message : String(error);
      throw new AppError("internal", `The database refuses what the log gives: ${why}.`, {
        cause: error,
      });
    }
    if (error instanceof Contradiction) throw new AppError("internal", error.message);
    // The reader's own; it begins anew.
    if (error instanceof Hole) throw new AppError("unavailable", error.message, { cause: error });
    throw error;
  }
}
