/** The wall between tenants in the database itself: what a query sees that names no tenant, or another. */
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { ensureCatalog } from "../../projections/catalog.ts";
import { connectDatabase, type Database, sqlState } from "../../projections/postgres.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { rebuild } from "../../projections/rebuild/rebuild.ts";
import { bypassesWall, lookAtWall } from "../../projections/row-security.ts";
import { reader_role } from "../../projections/tenant-query.ts";
import type { Commit } from "../../schemas/commit.ts";
import { postgresBinaries, startPostgres } from "../support/services.ts";
import { dialects, dump, openLanes, serve, type Served, wipe } from "./databases.ts";
import { randomHistory } from "./history.ts";
import { logOf } from "./memory-log.ts";
import { rebuilding } from "./rebuilding.ts";

/** Half of the conversations are another tenant's, with the same owners. */
const history: Commit[] = randomHistory(11, 300).map((commit) => {
  const tenant = commit.ref.id.charCodeAt(0) % 2 === 0 ? "acme" : "other";
  return { ...commit, ref: { ...commit.ref, tenant } };
});

const views = async (database: Database): Promise<string[]> => {
  const rows = await database.query(
    `SELECT table_name FROM information_schema.columns
     WHERE table_schema = 'read' AND column_name = 'tenant' ORDER BY 1`,
  );
  return rows.map((row) => String(row["table_name"]));
};

/** The tenants that a forgetful query of this one sees, over all read models. */
async function seen(database: Database, tenant: string): Promise<Set<unknown>> {
  const found = new Set<unknown>();
  for (const view of await views(database)) {
    const rows = await database.tenant(tenant).query(`SELECT DISTINCT tenant FROM read.${view}`);
    for (const row of rows) found.add(row["tenant"]);
  }
  return found;
}

async function fill(database: Database): Promise<void> {
  for (const lane of await openLanes(database)) expect(await lane.apply(history)).toEqual([]);
  await database.query(
    `INSERT INTO colloquy.parked SELECT t, 'conversation', gen_random_uuid(), name, version,
       generation, 1, 1, 'a test' FROM colloquy.generations, unnest(ARRAY['acme', 'other']) t`,
  );
}

/** Who asks, and for which tenant, as a session without a tenant has it. */
const session = async (database: Database): Promise<unknown> =>
  (
    await database.query(
      "SELECT current_user = session_user AS own, coalesce(current_setting('colloquy.tenant', true), '') AS tenant",
    )
  )[0];
const nobody = { own: true, tenant: "" };

describe.each(dialects)("the wall on $name", ({ missing, start }) => {
  describe.skipIf(missing)("with a server", () => {
    let url: string;
    let database: Database;
    serve(start, (opened) => ({ url, database } = opened));
    beforeEach(() => wipe(database));

    test("I10: a query that forgets its tenant, or names another, finds nothing of another's", async () => {
      await fill(database);
      expect(await views(database)).toContain("parked");
      expect((await views(database)).length).toBeGreaterThan(5);
      expect(await seen(database, "acme")).toEqual(new Set(["acme"]));
      expect(await seen(database, "other")).toEqual(new Set(["other"]));
      expect(await seen(database, "third")).toEqual(new Set());
      const [count] = await database
        .tenant("acme")
        .query("SELECT count(*) AS n FROM read.messages WHERE tenant = $1", ["other"]);
      expect(count).toEqual({ n: 0 });
    });

    test("I10: the tables themselves are out of a tenant's reach", async () => {
      await fill(database);
      for (const statement of [
        "SELECT * FROM p_conversations_1_1.conversations",
        "SELECT * FROM colloquy.parked",
        "DELETE FROM read.conversations",
        "UPDATE read.conversations SET tenant = 'acme'",
      ]) {
        const error: unknown = await database
          .tenant("acme")
          .query(statement)
          .catch((thrown: unknown) => thrown);
        expect(sqlState(error), statement).toBe("42501");
      }
      expect(await session(database)).toEqual(nobody);
    });

    test("I10: tenants take turns on one connection, and none is left on it", async () => {
      await fill(database);
      const one = await connectDatabase(url, { connections_max: 1 });
      const answers = await Promise.all(
        Array.from({ length: 40 }, async (_, index) => {
          const tenant = index % 2 === 0 ? "acme" : "other";
          const sql = one.tenant(tenant);
          // Every fifth fails in the middle, and takes its tenant with it.
          if (index % 5 === 4) {
            await expect(sql.query("SELECT 1 / $1::integer", [0])).rejects.toThrow("zero");
            return session(one);
          }
          const rows = await sql.query("SELECT DISTINCT tenant FROM read.conversations");
          return rows.map((row) => row["tenant"] === tenant);
        }),
      );
      for (const answer of answers) expect([[true], nobody]).toContainEqual(answer);
      expect(await session(one)).toEqual(nobody);
      await one.close();
    });

    test("I10: only a tenant's slug is a tenant", () => {
      for (const name of ["", "*", "Acme", "acme'", "acme', true), set_config('role', 'postgres"]) {
        expect(() => database.tenant(name), name).toThrow(TypeError);
      }
    });

    test("I10: a rebuilt read model stands behind the wall, and its rows are the same", async () => {
      await fill(database);
      await database.query("DELETE FROM colloquy.parked");
      const before = await dump(database);
      expect(await rebuild(rebuilding(database, logOf(history)), projectors)).toMatchObject({
        done: true,
      });
      expect(await dump(database)).toEqual(before);
      expect(await seen(database, "acme")).toEqual(new Set(["acme"]));
      expect(await lookAtWall(database)).toEqual({ whole: true, reader: true });
    });

    test("I10: what was there before there was a wall is put behind it at the next start", async () => {
      await fill(database);
      // As an older release leaves them: views of their owner, tables without policies or grants.
      await database.query(`REVOKE ALL ON ALL TABLES IN SCHEMA read FROM ${reader_role}`);
      await database.query(`REVOKE ALL ON SCHEMA read FROM ${reader_role}`);
      const tables = await database.query(
        "SELECT schemaname || '.' || tablename AS name FROM pg_policies WHERE policyname = 'tenant'",
      );
      for (const { name } of tables) {
        await database.query(`ALTER TABLE ${String(name)} DISABLE ROW LEVEL SECURITY`);
        await database.query(`DROP POLICY tenant ON ${String(name)}`);
        await database.query(`DROP POLICY feeder ON ${String(name)}`);
        await database.query(`REVOKE ALL ON ${String(name)} FROM ${reader_role}`);
      }
      for (const view of await views(database)) {
        await database.query(`ALTER VIEW read.${view} RESET (security_invoker)`);
      }
      const fresh = await connectDatabase(url);
      expect((await lookAtWall(fresh)).whole).toBe(false);
      expect((await seen(fresh, "acme")).size).toBe(2);
      await fresh.close();
      await ensureCatalog(database, projectors);
      expect(await lookAtWall(database)).toEqual({ whole: true, reader: true });
      const again = await connectDatabase(url);
      expect(await seen(again, "acme")).toEqual(new Set(["acme"]));
      await again.close();
    });
  });
});

describe.skipIf(postgresBinaries() === null)(
  "the wall of a plain owner, who may make no role",
  () => {
    let served: Served;
    let plain: Database;
    const as = (user: string): string => {
      const url = new URL(served.url);
      url.username = user;
      url.pathname = "/plain";
      return url.href;
    };
    const administer = async (...statements: readonly string[]): Promise<void> => {
      const client = new pg.Client(served.url);
      await client.connect();
      for (const statement of statements) await client.query(statement);
      await client.end();
    };
    beforeAll(async () => {
      served = await startPostgres();
      await administer("CREATE ROLE plain LOGIN", "CREATE DATABASE plain OWNER plain");
      plain = await connectDatabase(as("plain"));
    });
    afterAll(async () => {
      await plain?.close();
      await served?.stop();
    });

    test("I10: its own queries obey, what it feeds is whole, and a rebuild fills by COPY as ever", async () => {
      await fill(plain);
      expect(await lookAtWall(plain)).toEqual({ whole: true, reader: false });
      expect(await bypassesWall(plain)).toBe(false);
      expect(await seen(plain, "acme")).toEqual(new Set(["acme"]));
      expect(await seen(plain, "third")).toEqual(new Set());
      await plain.query("DELETE FROM colloquy.parked");
      const before = await dump(plain);
      expect(await rebuild(rebuilding(plain, logOf(history)), projectors)).toMatchObject({
        done: true,
      });
      expect(await dump(plain)).toEqual(before);
      expect(await seen(plain, "acme")).toEqual(new Set(["acme"]));
      expect(await session(plain)).toEqual(nobody);
    });

    test("I10: once an operator has made the role, the next start uses it", async () => {
      await administer(`CREATE ROLE ${reader_role} NOLOGIN`, `GRANT ${reader_role} TO plain`);
      expect(await lookAtWall(plain)).toEqual({ whole: false, reader: true });
      await ensureCatalog(plain, projectors);
      expect(await lookAtWall(plain)).toEqual({ whole: true, reader: true });
      expect(await seen(plain, "acme")).toEqual(new Set(["acme"]));
      const fresh = await connectDatabase(as("plain"));
      const user = await fresh.tenant("acme").query("SELECT current_user::text AS name");
      expect(user).toEqual([{ name: reader_role }]);
      expect(await seen(fresh, "acme")).toEqual(new Set(["acme"]));
      await fresh.close();
    });
  },
);
