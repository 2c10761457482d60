/**
 * The only door to SQL. On Postgres a bounded pool, on PGlite one connection: PGlite is one session
 * for all its clients, so nothing here or above may use SET (other than SET LOCAL), LISTEN, NOTIFY,
 * advisory locks, temporary tables or named statements but those of `statements.ts`. A lost connection
 * mends itself with the next query. Whatever may pass by itself is thrown as
 * `AppError("unavailable")`; any other SQL error comes as the driver threw it, and `sqlState` reads its
 * code.
 */
import pg from "pg";
import { AppError } from "../schemas/errors.ts";
import { isTenant } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { copyIn } from "./copy-in.ts";
import { ReadsFirst } from "./reads-first.ts";
import { type Rows, runStatements, type Statement, together } from "./statements.ts";
import { may_take, type ReadAs, reader_role, tenantQuery } from "./tenant-query.ts";

export type SqlValue = string | number | boolean | null | readonly (string | number | null)[];
export type SqlRow = Readonly<Record<string, unknown>>;

/**
 * Runs one statement; parameters are `$1`, `$2` … `bigint` columns come as numbers. Within a
 * transaction those with parameters that are asked for in the same moment travel together.
 */
export interface Sql {
  query(text: string, values?: readonly SqlValue[]): Promise<readonly SqlRow[]>;
  /** Runs `COPY … FROM STDIN` with these bytes. Only Postgres takes it. */
  copy(text: string, chunks: readonly Uint8Array[]): Promise<void>;
}

/**
 * Reads what is one tenant's. Statements that are asked for in the same moment travel together, in one
 * transaction; when one fails, they all have.
 */
export interface TenantSql {
  /** `kept: false` for a statement that is put together anew for every question. */
  query(text: string, values?: readonly SqlValue[], kept?: boolean): Promise<readonly SqlRow[]>;
}

export interface Database extends Sql {
  /**
   * The rows of one tenant and of nobody else, whatever a statement asks for (docs/decisions/0016).
   * Costs no further round trip, but for one of the first statement.
   */
  tenant(tenant: string): TenantSql;
  /** Commits what `work` did when it resolves, else rolls it back and throws what it threw. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  close(): Promise<void>;
  readonly dialect: "postgres" | "pglite";
}

export interface DatabaseOptions {
  /** What the server's list of sessions shows. */
  readonly name?: string;
  readonly connections_max?: number;
  /** Milliseconds one statement may take. */
  readonly statement_ms?: number;
  /** Whose statement is next, where many tenants ask (I10); at once when absent. */
  readonly inTurn?: <T>(tenant: string, work: () => Promise<T>) => Promise<T>;
}

/** Codes that pass by themselves: conflicts, resources, operator's work, tables not made yet. */
const passing = /^(08|40|53|55|57|58|3F000$|42P01$|XX00[012]$)/;

/** The five letters of an SQL error, wherever it is wrapped; null when it is none. */
export function sqlState(error: unknown): string | null {
  if (error instanceof pg.DatabaseError) return error.code ?? null;
  return error instanceof Error && error.cause !== undefined ? sqlState(error.cause) : null;
}

function coded(error: unknown): unknown {
  if (error instanceof AppError) return error;
  const state = sqlState(error);
  // An error that the server did not send is the connection's own: refused, reset, timed out.
  if (state !== null && !passing.test(state)) return error;
  const why = error instanceof Error ? error.message : String(error);
  return new AppError("unavailable", `The database cannot answer now: ${why}`, { cause: error });
}

/** What a connection is wanted for. */
type What = "read" | "transaction";

/** Runs a tenant's statements on a connection. */
type Walled = (
  as: ReadAs,
  tenant: string,
  statements: readonly Statement[],
) => Promise<readonly Rows[]>;

const int8_oid = 20;
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") =>
    // Counts and sequences stay far below 2^53.
    oid === int8_oid && format !== "binary" ? Number : pg.types.getTypeParser(oid, "text"),
};

/** Connects; throws `AppError("unavailable")` when nothing answers at `url`. */
export async function connectDatabase(
  url: string,
  options: DatabaseOptions = {},
): Promise<Database> {
  const statement_ms = options.statement_ms ?? limits.statement_ms;
  const inTurn = options.inTurn ?? ((_, work) => work());
  const config: pg.ClientConfig = {
    connectionString: url,
    application_name: options.name ?? "colloquy",
    connectionTimeoutMillis: limits.database_connect_ms,
    // The driver's own watch also covers a server that is stopped or a network that is cut.
    query_timeout: statement_ms + 1_000,
    keepAlive: true,
    types,
  };
  const dialect = await detect(config);
  const pool = new pg.Pool({
    ...config,
    ...(dialect === "postgres" ? { statement_timeout: statement_ms } : {}),
    max: dialect === "pglite" ? 1 : (options.connections_max ?? limits.database_connections_max),
    idleTimeoutMillis: 0,
  });
  // A pooled connection that dies idle is dropped by the pool; the next query opens another.
  pool.on("error", () => undefined);
  // A server that ends a session says so to whoever holds it and to nobody else: also while the
  // connection is being dropped, when an error without a listener would end the process (seen).
  pool.on("connect", (client) => client.on("error", () => undefined));

  const order = dialect === "pglite" ? new ReadsFirst() : null;
  const acquire = async (what: What): Promise<{ client: pg.PoolClient; leave: () => void }> => {
    if ((order?.waiting ?? pool.waitingCount) >= limits.database_waiting_max) {
      throw new AppError("unavailable", "Too many queries wait for the database.");
    }
    const leave = await order?.enter(what);
    try {
      return { client: await pool.connect(), leave: () => leave?.() };
    } catch (error) {
      leave?.();
      throw coded(error);
    }
  };

  /** Gives back the connection, or drops it when its state is not known for certain. */
  const use = async <T>(
    what: What,
    work: (sql: Sql, begin: () => void, walled: Walled) => Promise<T>,
  ): Promise<T> => {
    const { client, leave } = await acquire(what);
    let broken = false;
    const lost = (): void => {
      broken = true;
    };
    client.on("error", lost);
    const asked = async <R>(answer: Promise<R>): Promise<R> => {
      try {
        return await answer;
      } catch (error) {
        // After an error of the server the session is sound, unless it says that it is ending.
        const state = sqlState(error);
        if (state === null || /^(08|57P)/.test(state)) broken = true;
        throw coded(error);
      }
    };
    /** What goes in front of the first statement, in its write. */
    let ahead: readonly Statement[] = [];
    const several = together(async (statements) => {
      const before = ahead;
      ahead = [];
      const rows = await asked(runStatements(client, [...before, ...statements], types));
      return rows.slice(before.length);
    });
    const sendAhead = async (): Promise<void> => {
      if (ahead.length > 0) await several("SELECT 1 OFFSET 1");
    };
    const sql: Sql = {
      async query(text, values = []) {
        if (values.length > 0) return several(text, values);
        await sendAhead();
        return (await asked(client.query(text))).rows;
      },
      async copy(text, chunks) {
        await sendAhead();
        await asked(copyIn(client, text, chunks));
      },
    };
    const begin = (): void => {
      ahead = [{ text: "BEGIN", values: [], kept: true, silent: true }];
    };
    try {
      return await work(sql, begin, (...query) => asked(tenantQuery(client, types, ...query)));
    } finally {
      client.off("error", lost);
      client.release(broken);
      leave();
    }
  };

  /** As whom tenants' statements run; found out by the first of them. */
  let as: ReadAs | null = null;
  const readAs = async (sql: Sql): Promise<ReadAs> => {
    const rows = await sql.query(
      `SELECT has_schema_privilege(r.oid, 'read', 'USAGE') AS granted
       FROM pg_roles r WHERE r.rolname = '${reader_role}' AND ${may_take}`,
    );
    return rows[0]?.["granted"] === true ? "reader" : "owner";
  };

  return {
    dialect,
    tenant(tenant) {
      // No tenant at all is whoever feeds the tables.
      if (!isTenant(tenant)) throw new TypeError("not a tenant's slug");
      const run = (statements: readonly Statement[]): Promise<readonly Rows[]> =>
        inTurn(tenant, () =>
          use("read", async (sql, _, walled) => {
            as ??= await readAs(sql);
            try {
              return await walled(as, tenant, statements);
            } catch (error) {
              // The role is gone, or is no longer this user's to take: the next one looks anew.
              if (/^(42501|22023)$/.test(sqlState(error) ?? "")) as = null;
              throw error;
            }
          }),
        );
      return { query: together(run) };
    },
    query: (text, values) => use("read", (sql) => sql.query(text, values)),
    copy: (text, chunks) => use("transaction", (sql) => sql.copy(text, chunks)),
    transaction: (work) =>
      use("transaction", async (sql, begin) => {
        begin();
        try {
          const result = await work(sql);
          await sql.query("COMMIT");
          return result;
        } catch (error) {
          // A rollback that fails has dropped the connection, which rolls back as well.
          await sql.query("ROLLBACK").catch(() => undefined);
          throw error;
        }
      }),
    close: () => pool.end(),
  };
}

async function detect(config: pg.ClientConfig): Promise<Database["dialect"]> {
  const client = new pg.Client(config);
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ version: string }>("SELECT version()");
    return /emscripten|pglite|wasm/i.test(rows[0]?.version ?? "") ? "pglite" : "postgres";
  } catch (error) {
    throw coded(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}
