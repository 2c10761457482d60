/**
 * What the database remembers of the log: every generation is at a position, with the hash of the
 * commit there. Whoever verifies the log asks for them; it never needs them.
 */
import { readGenerations } from "./generations.ts";
import type { Database } from "./postgres.ts";

/** Its form is that of `streams/proof/witnesses.ts`. */
interface Remembered {
  readonly who: string;
  readonly sequence: number;
  readonly hash: string;
}

/** None when nothing was projected yet. Throws `AppError("unavailable")` without a database. */
export async function checkpointWitnesses(database: Database): Promise<Remembered[]> {
  const [found] = await database.query("SELECT to_regclass('colloquy.generations')::text AS there");
  if (found?.["there"] === null) return [];
  const generations = await readGenerations(database);
  return generations
    .filter(({ position }) => position > 0)
    .map(({ name, version, generation, position, hash }) => ({
      who: `The read model ${name} (version ${version}, generation ${generation})`,
      ...{ sequence: position, hash },
    }));
}
