/**
 * A statement that sees one tenant. In front of it goes another that sets the tenant, and the role
 * that must obey row-level security, for this transaction only; both travel in one write, up to one
 * Sync, so they are one transaction and one round trip. PGlite, one session for everybody, forgets
 * the settings at that Sync as a server does.
 */
import pg from "pg";

/** The role that a tenant's queries run under, where the database's user may take it. */
export const reader_role = "colloquy_reader";

/** Whether this user may take it. Since Postgres 16 being a member does not say so. */
export const may_take = `(CASE WHEN current_setting('server_version_num')::integer >= 160000
  THEN pg_has_role(current_user, r.oid, 'SET') ELSE pg_has_role(current_user, r.oid, 'MEMBER') END)`;

/** `OFFSET 1` computes the row and does not send it: an answer without rows needs no description. */
const prelude = {
  reader: `SELECT set_config('role', '${reader_role}', true), set_config('colloquy.tenant', $1, true) OFFSET 1`,
  owner: "SELECT set_config('colloquy.tenant', $1, true) OFFSET 1",
} as const;

/** `reader`: as the role; `owner`: as the database's user, who then obeys by FORCE. */
export type ReadAs = keyof typeof prelude;

type Rows = readonly Readonly<Record<string, unknown>>[];

/** The driver reads `queryMode`, which its types lack. */
const extended = (query: pg.QueryConfig): pg.QueryConfig & { queryMode: string } => ({
  ...query,
  queryMode: "extended",
});

class TenantQuery extends pg.Query {
  readonly #as: ReadAs;
  readonly #tenant: string;

  constructor(
    as: ReadAs,
    tenant: string,
    query: { text: string; values: unknown[] },
    call: (error: Error | undefined, results: unknown) => void,
  ) {
    // Extended also without parameters: the simple protocol would end the transaction between.
    super(extended(query), call);
    this.#as = as;
    this.#tenant = tenant;
  }

  /** Called by the driver (pg 8.23) to write the statement, corked; what it writes comes after ours. */
  prepare(connection: pg.Connection): void {
    connection.parse({ name: "", text: prelude[this.#as], types: [] }, true);
    connection.bind({ values: [this.#tenant] }, true);
    connection.execute({}, true);
    const own: unknown = Reflect.get(pg.Query.prototype, "prepare");
    if (typeof own !== "function") throw new Error("the driver prepares its queries differently");
    Reflect.apply(own, this, [connection]);
  }
}

/** Resolves with the rows of the statement; throws what the driver throws. */
export function tenantQuery(
  client: pg.ClientBase,
  as: ReadAs,
  tenant: string,
  text: string,
  values: readonly unknown[],
): Promise<Rows> {
  return new Promise((resolve, reject) => {
    const call = (error: Error | undefined, results: unknown): void => {
      if (error instanceof Error) return reject(error);
      // The driver gives a list when it has met several statements: ours is the last.
      const [found] = Array.isArray(results) ? results.slice(-1) : [results];
      resolve((found as { rows: Rows }).rows); // a result of the driver
    };
    client.query(new TenantQuery(as, tenant, { text, values: [...values] }, call));
  });
}
