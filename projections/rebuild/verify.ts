/**
 * Whether a read model is what the log says: it is built anew aside and compared row by row while
 * everybody goes on. Rows that differ when the two stand at different positions are only suspects:
 * at the end they are compared again in one short transaction that holds the live one where it is.
 */
import { AppError } from "../../schemas/errors.ts";
import {
  type Generation,
  generationOf,
  lockLive,
  readCheckpoint,
  readGenerations,
} from "../generations.ts";
import type { Projector } from "../projector.ts";
import { advance, tail_max } from "./advance.ts";
import { differences, type Difference, differingKeys, type Key } from "./compare-rows.ts";
import { fill } from "./fill.ts";
import { begin, explained, type RebuildPorts } from "./rebuild.ts";
import { dropGeneration } from "./swap.ts";

export interface Verified {
  /** The EVENTS sequence that both stand for. */
  readonly position: number;
  /** At most `suspects_max`. */
  readonly differences: readonly Difference[];
}

/** Rows of one statement: short where everybody waits for it. */
const chunk_rows = { postgres: 5_000, pglite: 500 } as const;
/** More suspects than this are not looked at again: so many show that something is wrong. */
const suspects_max = 5_000;

/** Throws `AppError` with a sentence; the generation aside is dropped in any case. */
export async function verify(ports: RebuildPorts, projector: Projector): Promise<Verified> {
  const { database, signal } = ports;
  const live = await liveOf(ports, projector);
  const [aside] = await explained(ports, () => begin(ports, [projector], live.position));
  if (aside === undefined) throw new AppError("internal");
  try {
    return await explained(ports, async () => {
      await fill(ports, [aside], live.position);
      ports.step("Comparing.");
      const schemas = {
        live: generationOf(projector, live.generation).schema,
        aside: aside.schema,
      };
      const suspects = new Map<string, Key[]>();
      let many = 0;
      for (const { table } of projector.sheets) {
        const keys: Key[] = [];
        for await (const some of differingKeys(
          database,
          table,
          schemas,
          chunk_rows[database.dialect],
        )) {
          if (signal.aborted || many >= suspects_max) break;
          keys.push(...some.keys.slice(0, suspects_max - many));
          many += some.keys.length;
        }
        suspects.set(table.name, keys);
      }
      return settle(ports, aside, schemas, suspects);
    });
  } finally {
    await dropGeneration(database, {
      name: projector.name,
      version: projector.version,
      generation: aside.generation,
    });
  }
}

async function liveOf(
  { database }: RebuildPorts,
  { name, version }: Projector,
): Promise<{ position: number; generation: number }> {
  const live = (await readGenerations(database)).find(
    (one) => one.name === name && one.state === "live",
  );
  if (live === undefined) throw new AppError("bad_request", `There is no read model ${name} yet.`);
  if (live.version !== version) {
    throw new AppError(
      "bad_request",
      `The read model ${name} has version ${live.version}, which only the release that made it can verify: this one knows version ${version}.`,
    );
  }
  return live;
}

/** Compares the suspects where both have seen the same. */
async function settle(
  ports: RebuildPorts,
  aside: Generation,
  schemas: { readonly live: string; readonly aside: string },
  suspects: ReadonlyMap<string, readonly Key[]>,
): Promise<Verified> {
  const { database } = ports;
  const { name, sheets } = aside.projector;
  for (;;) {
    const { position } = await liveOf(ports, aside.projector);
    const { position: own } = await readCheckpoint(database, aside);
    if (position - own > tail_max) {
      await fill(ports, [aside], position);
      continue;
    }
    const found = await database.transaction(async (sql) => {
      const live = await lockLive(sql, name);
      if (live === null) throw new AppError("unavailable", `${name} has just been swapped.`);
      // It moved on too far meanwhile.
      if (live.position - own > 2 * tail_max) return null;
      await advance(ports, sql, aside, live.position);
      const all: Difference[] = [];
      for (const { table } of sheets) {
        all.push(...(await differences(sql, table, schemas, suspects.get(table.name) ?? [])));
      }
      return { position: live.position, differences: all };
    });
    if (found !== null) return found;
  }
}
