/**
 * A rollback shows again what the views showed before the last swap, without a step back: what is kept
 * is fed, so it has seen as much as the live one, or is brought there first.
 */
import { AppError } from "../../schemas/errors.ts";
import { generationOf, readGenerations, type Recorded } from "../generations.ts";
import type { Projector } from "../projector.ts";
import { shownBefore } from "../tables.ts";
import { schemaOf } from "../generations.ts";
import { finish, type FinishPorts, handOver } from "./finish.ts";
import { explained } from "./rebuild.ts";
import { isHeld, lockShortly, swapIn } from "./swap.ts";

/** Resolves with the generation that is live now. Throws `AppError` with a sentence. */
export async function rollback(
  ports: FinishPorts,
  projectors: readonly Projector[],
  name: string,
): Promise<Recorded> {
  const kept = (await readGenerations(ports.database))
    .filter((one) => one.name === name && one.state === "kept")
    .at(-1);
  if (kept === undefined) {
    throw new AppError("bad_request", `Nothing is kept of ${name} to roll back to.`);
  }
  const projector = projectors.find((one) => one.name === name && one.version === kept.version);
  if (projector === undefined) {
    await swapForeign(ports, kept);
    return kept;
  }
  const one = generationOf(projector, kept.generation);
  await explained(ports, () => finish(ports, one));
  await handOver(ports, one);
  return kept;
}

/** Attempts for a version that only another release can feed; a second or two. */
const attempts_max = 20;

async function swapForeign({ database, clock }: FinishPorts, kept: Recorded): Promise<void> {
  const { name, version, generation } = kept;
  const schema = schemaOf(name, version, generation);
  for (let attempt = 1; ; attempt++) {
    const ahead = await database
      .transaction(async (sql) => {
        await lockShortly(sql);
        const [row] = await sql.query(
          `SELECT position FROM colloquy.generations
           WHERE name = $1 AND version = $2 AND generation = $3 FOR UPDATE`,
          [name, version, generation],
        );
        return swapIn(sql, kept, Number(row?.["position"]), await shownBefore(sql, schema));
      })
      .catch((error: unknown) => {
        if (isHeld(error)) return Number.NaN;
        throw error;
      });
    if (ahead === null) return;
    if (attempt === attempts_max) {
      throw new AppError(
        "bad_request",
        `What is kept of ${name} has version ${version} and stands behind the live one: run the release that feeds it, and roll back then.`,
      );
    }
    await new Promise<void>((resolve) => void clock.after(100, resolve));
  }
}
