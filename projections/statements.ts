/**
 * Several statements in one write and one round trip: parsed, bound and executed up to one Sync, so
 * they are one transaction, too; when one fails, none is answered. The server keeps them parsed and
 * planned under names, and describes the rows of such a statement once. A name is made of its text,
 * so it means the same to everybody who shares a session: on PGlite all its clients, elsewhere those
 * behind a pooler.
 *
 * CPU of a conversation's read, µs of ours and of the database (load 3 to 11): its four queries one by
 * one 835 and 1,215 on Postgres 15, 1,087 and 2,187 on PGlite; in one write and kept 445 and 145, 653 and
 * 533. Without names PGlite took 1,733.
 */
import { hash } from "node:crypto";
import pg from "pg";
import { limits } from "../schemas/limits.ts";

type Value = string | number | boolean | null;

export interface Statement {
  readonly text: string;
  readonly values: readonly (Value | readonly Value[])[];
  /** Whether the server shall keep it: not one that is put together anew for every question. */
  readonly kept: boolean;
  /** It answers without rows, and need not be described. */
  readonly silent?: true;
}

export type Rows = readonly Readonly<Record<string, unknown>>[];

/** A column's name, and what makes a value of its text. */
type Field = readonly [name: string, parse: (text: string) => unknown];

/** By name, the oldest first: what a connection's server keeps, since when, and the fields of its rows. */
type Known = Map<string, { readonly fields: readonly Field[]; readonly since_ms: number }>;
/** Null where nothing is kept again. */
const kept = new WeakMap<pg.ClientBase, Known | null>();

/**
 * So long a plan is kept. It was made for tables as small as they were then, and only a server that
 * analyses them by itself makes another; PGlite does not, and would read a grown table from end to end.
 */
const kept_ms = 10_000;

/** Text → name. */
const names = new Map<string, string>();

/** Empty for a statement that is not kept. */
function nameOf({ text, kept: wished }: Statement): string {
  if (!wished) return "";
  const known = names.get(text);
  if (known !== undefined) return known;
  if (names.size >= limits.statements_kept_max) names.clear();
  const name = `colloquy_${hash("sha256", text, "hex").slice(0, 32)}`;
  names.set(text, name);
  return name;
}

/** A value as the server reads it in text. */
function written(value: Statement["values"][number]): string | null {
  if (value === null || typeof value === "string") return value;
  if (typeof value !== "object") return String(value);
  const items = value.map((one) =>
    one === null ? "NULL" : `"${String(one).replace(/["\\]/g, (char) => `\\${char}`)}"`,
  );
  return `{${items.join(",")}}`;
}

interface Asked extends Statement {
  name: string;
  /** Null until the server describes them. */
  fields: readonly Field[] | null;
  readonly rows: Record<string, unknown>[];
}

/** What the driver (pg 8.23) takes for a query, as it takes its cursors: it calls `handle…`. */
class Statements {
  /** The driver wraps it, and takes it away when it has waited too long. */
  callback: (error: unknown) => void;
  readonly #asked: readonly Asked[];
  readonly #types: pg.CustomTypesConfig;
  readonly #known: Known | null;
  /** Which of them is being answered. */
  #at = 0;
  #damage: unknown = null;

  constructor(
    statements: readonly Statement[],
    types: pg.CustomTypesConfig,
    known: Known | null,
    done: (error: unknown, rows: readonly Rows[]) => void,
  ) {
    this.#asked = statements.map((one) => ({ ...one, name: "", fields: null, rows: [] }));
    this.#types = types;
    this.#known = known;
    this.callback = (error) =>
      done(
        error,
        this.#asked.map(({ rows }) => rows),
      );
  }

  submit(connection: pg.Connection): void {
    const now_ms = performance.now();
    connection.stream.cork();
    for (const asked of this.#asked) {
      const name = this.#known === null ? "" : nameOf(asked);
      const found = this.#known?.get(name);
      const fresh = found !== undefined && now_ms - found.since_ms < kept_ms;
      asked.name = name;
      asked.fields = fresh ? found.fields : asked.silent ? [] : null;
      if (!fresh) {
        if (name !== "") this.#forget(connection, name);
        connection.parse({ name, text: asked.text, types: [] }, true);
      }
      connection.bind({ statement: name, values: asked.values.map(written) }, true);
      if (asked.fields === null) connection.describe({ type: "P", name: "" }, true);
      connection.execute({}, true);
    }
    connection.sync();
    connection.stream.uncork();
  }

  /** Makes room for a statement of this name. */
  #forget(connection: pg.Connection, name: string): void {
    const known = this.#known;
    const [oldest] = known?.keys() ?? [];
    const full = known !== null && known.size >= limits.statements_kept_max;
    // One that failed may be there all the same; to close what is not there is no error.
    for (const one of full && oldest !== undefined ? [name, oldest] : [name]) {
      known?.delete(one);
      connection.close({ type: "S", name: one }, true);
    }
  }

  handleRowDescription({ fields }: { readonly fields: readonly pg.FieldDef[] }): void {
    const asked = this.#asked[this.#at];
    if (asked === undefined) return;
    asked.fields = fields.map(({ name, dataTypeID }) => [
      name,
      this.#types.getTypeParser(dataTypeID, "text"),
    ]);
  }

  handleDataRow({ fields: texts }: { readonly fields: readonly (string | null)[] }): void {
    const asked = this.#asked[this.#at];
    const row: Record<string, unknown> = {};
    try {
      for (const [at, [name, parse]] of (asked?.fields ?? []).entries()) {
        const text = texts[at] ?? null;
        row[name] = text === null ? null : parse(text);
      }
    } catch (error) {
      this.#damage ??= error;
    }
    asked?.rows.push(row);
  }

  handleCommandComplete(): void {
    this.#at += 1;
  }

  handleReadyForQuery(): void {
    const since_ms = performance.now();
    for (const { name, fields } of this.#asked) {
      if (name !== "" && !this.#known?.has(name)) {
        this.#known?.set(name, { fields: fields ?? [], since_ms });
      }
    }
    this.callback(this.#damage);
  }

  handleError(error: unknown): void {
    this.callback(error);
  }
}

/**
 * The server has no statement of this name, or has another's (a pooler has chosen another server), or
 * must not use it any more, since the types of its columns have changed.
 */
const about_names = /^(26000|42P05|0A000)$/;

/** Resolves with the rows of each statement once all are done; throws what the driver throws. */
export async function runStatements(
  client: pg.ClientBase,
  statements: readonly Statement[],
  types: pg.CustomTypesConfig,
): Promise<readonly Rows[]> {
  const run = (known: Known | null): Promise<readonly Rows[]> =>
    new Promise((resolve, reject) => {
      client.query(
        new Statements(statements, types, known, (error, rows) =>
          error === null ? resolve(rows) : reject(error),
        ),
      );
    });
  if (!kept.has(client)) kept.set(client, new Map());
  const known = kept.get(client) ?? null;
  try {
    return await run(known);
  } catch (error) {
    const code = error instanceof pg.DatabaseError ? (error.code ?? "") : "";
    if (known === null || !about_names.test(code)) throw error;
    kept.set(client, null);
    return run(null);
  }
}

/** Lets the statements that are asked for in the same moment travel together. */
export function together(
  run: (statements: readonly Statement[]) => Promise<readonly Rows[]>,
): (text: string, values?: Statement["values"], kept?: boolean) => Promise<Rows> {
  let open: { readonly statements: Statement[]; readonly rows: Promise<readonly Rows[]> } | null =
    null;
  const begin = (): NonNullable<typeof open> => {
    const statements: Statement[] = [];
    const closed = Promise.resolve().then(() => (open = null));
    return { statements, rows: closed.then(() => run(statements)) };
  };
  return async (text, values = [], kept = true) => {
    const { statements, rows } = (open ??= begin());
    const at = statements.push({ text, values, kept }) - 1;
    return (await rows)[at] ?? [];
  };
}
