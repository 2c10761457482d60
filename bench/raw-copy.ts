/** What Postgres itself takes to COPY the rows of a rebuild: from files of its own, into bare tables. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readGenerations, schemaOf } from "../projections/generations.ts";
import { connectDatabase } from "../projections/postgres.ts";
import { projectors } from "../projections/projectors/all.ts";

const statement_ms = 10 * 60_000;

export interface RawCopy {
  readonly rows: number;
  readonly seconds: number;
}

/**
 * Copies the tables of the live read models `names` once more, all at the same time; null where the
 * server may not write files that we see.
 */
export async function rawCopy(url: string, names: readonly string[]): Promise<RawCopy | null> {
  const database = await connectDatabase(url, { statement_ms });
  const folder = mkdtempSync(join(tmpdir(), "colloquy-bench-"));
  // Another user's server writes there.
  chmodSync(folder, 0o777);
  try {
    const generations = await readGenerations(database);
    const tables = generations
      .filter(({ name, state }) => state === "live" && names.includes(name))
      .flatMap(({ name, version, generation }) =>
        (projectors.find((one) => one.name === name)?.sheets ?? []).map(
          ({ table }) => `${schemaOf(name, version, generation)}.${table.name}`,
        ),
      );
    const copies = tables.map((table, at) => ({
      ...{ table, bare: `colloquy.bare_${at}`, file: join(folder, `${at}`) },
    }));
    for (const { table, bare, file } of copies) {
      await database.query(`CREATE TABLE ${bare} (LIKE ${table})`);
      await database.query(`COPY ${table} TO '${file}'`);
    }
    const began = performance.now();
    await Promise.all(
      copies.map(({ bare, file }) => database.query(`COPY ${bare} FROM '${file}'`)),
    );
    const seconds = (performance.now() - began) / 1_000;
    let rows = 0;
    for (const { bare } of copies) {
      const [counted] = await database.query(`SELECT count(*) AS rows FROM ${bare}`);
      rows += Number(counted?.["rows"]);
      await database.query(`DROP TABLE ${bare}`);
    }
    return { rows, seconds };
  } catch {
    return null;
  } finally {
    await database.close();
    rmSync(folder, { recursive: true, force: true });
  }
}
