/** What COPY writes is what the other way of writing writes, for every value. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { connectDatabase, type Database } from "../../projections/postgres.ts";
import type { Row, Table } from "../../projections/projector.ts";
import { copyText } from "../../projections/rebuild/copy-rows.ts";
import { upsertRows } from "../../projections/rows.ts";
import { postgresBinaries, type Running, startPostgres } from "../support/services.ts";

const table: Table = {
  name: "values",
  columns: {
    tenant: 'text COLLATE "C"',
    number: "integer",
    body: "text",
    flag: "boolean",
    amount: "numeric",
    large: "bigint",
  },
  nullable: ["body", "flag", "amount", "large"],
  key: ["tenant", "number"],
  indexes: [],
  hidden: [],
};

/** Texts of what the format gives a meaning, and of everything else. */
const text = fc.oneof(
  fc.string({ unit: "binary" }),
  fc.string({
    unit: fc.constantFrom("\\", "\t", "\n", "\r", "\0", "N", ".", "x", "1", "🙂", "\ud800"),
  }),
  fc.constantFrom("\\N", "\\.", "", " ", "NULL", '"', "{}", "\\\\N\t\\n"),
);
const row = fc.record({
  tenant: text,
  body: fc.option(text),
  flag: fc.option(fc.boolean()),
  amount: fc.option(fc.constantFrom("0", "0.000000", "12.340", "1e3")),
  large: fc.option(fc.maxSafeInteger()),
});

describe.skipIf(postgresBinaries() === null)("rows for COPY", () => {
  let server: Running;
  let database: Database;
  beforeAll(async () => {
    server = await startPostgres();
    database = await connectDatabase(server.url);
    for (const schema of ["copied", "put"]) {
      await database.query(`CREATE SCHEMA ${schema}`);
      await database.query(
        `CREATE TABLE ${schema}.values (${Object.entries(table.columns)
          .map(([column, type]) => `${column} ${type}`)
          .join(", ")}, PRIMARY KEY (tenant, number))`,
      );
    }
  });
  afterAll(async () => {
    await database?.close();
    await server?.stop();
  });

  test("I8: are exactly the rows that an INSERT writes", async () => {
    const rows = fc
      .sample(row, { numRuns: 3_000, seed: 7 })
      .map((one, number): Row => ({ ...one, number }));
    const columns = Object.keys(table.columns).join(", ");
    await database.copy(`COPY copied.values (${columns}) FROM STDIN`, copyText(table, rows));
    await upsertRows(table, "put", rows, database);
    const all = (schema: string) =>
      database.query(`SELECT v::text FROM ${schema}.values v ORDER BY number`);
    const copied = await all("copied");
    expect(copied).toHaveLength(rows.length);
    expect(copied).toEqual(await all("put"));
  });

  test("what the server refuses is an error with its code, and the session stays sound", async () => {
    const bad = copyText(table, [{ tenant: "a", number: "no number" }]);
    const refused = database.copy("COPY copied.values (tenant, number) FROM STDIN", bad);
    await expect(refused).rejects.toMatchObject({ code: "22P04" });
    expect(await database.query("SELECT 1 AS one")).toEqual([{ one: 1 }]);
  });
});
