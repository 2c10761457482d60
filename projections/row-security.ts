/**
 * The second wall between tenants (I10; docs/decisions/0016): every table of a read model has
 * row-level security on, so a query that forgets to name its tenant finds nothing of another's. Who
 * asks for a tenant does so as the role `colloquy_reader`, which owns nothing and cannot bypass it;
 * where the database's user may not make that role, its own queries obey by FORCE instead.
 *
 * Whoever feeds the tables owns them and writes those of all tenants: only a query that was given a
 * tenant (`tenant-query.ts`) stands behind the wall.
 */
import { type Database, type Sql, sqlState } from "./postgres.ts";
import { may_take, reader_role } from "./tenant-query.ts";

export async function hasReader(sql: Pick<Sql, "query">): Promise<boolean> {
  const rows = await sql.query(
    `SELECT 1 FROM pg_roles r WHERE r.rolname = '${reader_role}' AND ${may_take}`,
  );
  return rows.length > 0;
}

/** Whether this user is bound by no policy, even by FORCE. */
export async function bypassesWall(sql: Pick<Sql, "query">): Promise<boolean> {
  const rows = await sql.query(
    "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)",
  );
  return rows.length > 0;
}

/** Makes the role, as far as this user may. Another installation of the server may have it already. */
export async function makeReader(database: Database): Promise<void> {
  if (await hasReader(database)) return;
  for (const statement of [
    `CREATE ROLE ${reader_role} NOLOGIN`,
    `GRANT ${reader_role} TO CURRENT_USER`,
  ]) {
    await database.query(statement).catch((error: unknown) => {
      // Not allowed, so not there; or there already; or made by another at this moment.
      if (!/^(42501|42704|42710|23505|XX000)$/.test(sqlState(error) ?? "")) throw error;
    });
  }
}

/**
 * Puts a table behind the wall. A session that has named no tenant belongs to whoever feeds it: the
 * setting reads as empty once a transaction that had one is over.
 */
export async function wallTable(sql: Sql, schema: string, table: string): Promise<void> {
  const name = `${schema}.${table}`;
  await sql.query(`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`);
  await sql.query(`DROP POLICY IF EXISTS tenant ON ${name}`);
  await sql.query(
    `CREATE POLICY tenant ON ${name} FOR SELECT
     USING (tenant = current_setting('colloquy.tenant', true))`,
  );
  await sql.query(`DROP POLICY IF EXISTS feeder ON ${name}`);
  await sql.query(
    `CREATE POLICY feeder ON ${name} TO CURRENT_USER
     USING (coalesce(current_setting('colloquy.tenant', true), '') = '')`,
  );
}

/**
 * Lets queries read a table that a view in schema `read` shows: the role by a grant, else the owner
 * by obeying. Not before: COPY does not fill a table whose owner must obey.
 */
export async function showWalled(
  sql: Sql,
  reader: boolean,
  schema: string,
  table: string,
): Promise<void> {
  await sql.query(
    reader
      ? `GRANT SELECT ON ${schema}.${table} TO ${reader_role}`
      : `ALTER TABLE ${schema}.${table} FORCE ROW LEVEL SECURITY`,
  );
}

/** The tables with tenants' rows and the views over them, and what each lacks. */
const lacking = `WITH reader AS (
    SELECT r.oid FROM pg_roles r WHERE r.rolname = '${reader_role}' AND ${may_take}),
  standing AS (
    SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind = 'v' AS is_view, c.relrowsecurity,
      c.relforcerowsecurity, coalesce(c.reloptions @> '{security_invoker=true}', false) AS invoker
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE (c.relkind = 'r' AND (n.nspname ~ '^p_.*_[0-9]+_[0-9]+$'
        OR (n.nspname = 'colloquy' AND c.relname IN ('parked', 'generations'))))
      OR (c.relkind = 'v' AND n.nspname = 'read')),
  shown AS (
    SELECT d.refobjid AS oid FROM pg_rewrite w JOIN standing v ON v.oid = w.ev_class AND v.is_view
    JOIN pg_depend d ON d.objid = w.oid AND d.classid = 'pg_rewrite'::regclass
      AND d.refclassid = 'pg_class'::regclass)
  SELECT schema, name, is_view AS "isView",
    NOT is_view AND NOT relrowsecurity AND name <> 'generations' AS open,
    is_view AND NOT invoker AS owners,
    (is_view OR oid IN (SELECT oid FROM shown)) AND coalesce(
      NOT has_table_privilege((SELECT oid FROM reader), oid, 'SELECT'),
      NOT is_view AND NOT relforcerowsecurity AND name <> 'generations') AS unreadable
  FROM standing`;

interface Lacking {
  readonly schema: string;
  readonly name: string;
  readonly isView: boolean;
  /** A table without row-level security. */
  readonly open: boolean;
  /** A view that shows what its owner may see. */
  readonly owners: boolean;
  /** Shown, and neither granted to the role nor, without one, obeyed by its owner. */
  readonly unreadable: boolean;
}

/** How the wall stands: whole, and by which means. */
export interface Wall {
  readonly whole: boolean;
  /** By the role; else by FORCE, where the user must not be one that bypasses row-level security. */
  readonly reader: boolean;
}

/** Whether queries may run as the role: granted last. */
const granted = `SELECT 1 FROM pg_namespace
  WHERE nspname = 'read' AND has_schema_privilege('${reader_role}', oid, 'USAGE')`;

const wants = ({ open, owners, unreadable }: Lacking): boolean => open || owners || unreadable;

// The select has exactly these columns.
const standing = async (sql: Pick<Sql, "query">): Promise<readonly Lacking[]> =>
  (await sql.query(lacking)) as readonly object[] as readonly Lacking[];

export async function lookAtWall(sql: Pick<Sql, "query">): Promise<Wall> {
  const reader = await hasReader(sql);
  const usable = !reader || (await sql.query(granted)).length > 0;
  return { whole: usable && !(await standing(sql)).some(wants), reader };
}

/** Puts all that stands behind the wall: tables of other releases and of before there was one, too. */
export async function raiseWall(sql: Sql): Promise<void> {
  const reader = await hasReader(sql);
  for (const { schema, name, isView, open, owners, unreadable } of await standing(sql)) {
    if (open) await wallTable(sql, schema, name);
    if (owners) await sql.query(`ALTER VIEW ${schema}.${name} SET (security_invoker = true)`);
    if (!unreadable) continue;
    if (!isView) await showWalled(sql, reader, schema, name);
    else if (reader) await sql.query(`GRANT SELECT ON ${schema}.${name} TO ${reader_role}`);
  }
  // Last: by this one queries know that they may run as the role.
  if (reader) await sql.query(`GRANT USAGE ON SCHEMA read TO ${reader_role}`);
}
