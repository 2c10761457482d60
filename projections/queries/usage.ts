/**
 * Tokens and cost by day and model, the latest day first, and the sum of all. Cost is summed as it was
 * recorded, in decimals, by the database (I12). Whose a call was is the owner of its conversation.
 */
import type { UsageItem, UsageList, UsageSum } from "../../schemas/usage.ts";
import type { SqlRow, SqlValue, TenantSql } from "../postgres.ts";
import { pageSize, readCursor, writeCursor } from "./cursor.ts";

export interface UsagePage {
  readonly tenant: string;
  /** Null: everybody's. */
  readonly owner: string | null;
  readonly model: string | null;
  /** ISO times; `to` itself is not in it. */
  readonly from: string | null;
  readonly to: string | null;
  readonly cursor?: string;
  readonly limit: number;
}

type Place = readonly [day: string, provider: string, model: string];
const isPlace = (place: readonly unknown[]): place is Place =>
  place.length === 3 &&
  place.every((part) => typeof part === "string") &&
  /^\d{4}-\d\d-\d\d$/.test(String(place[0])) &&
  !Number.isNaN(Date.parse(String(place[0])));

const sums = `count(*)::text AS calls, coalesce(sum(m.tokens_in), 0)::text AS "tokensIn",
  coalesce(sum(m.tokens_out), 0)::text AS "tokensOut", coalesce(sum(m.cost_usd), 0)::text AS "costUsd"`;

const sumOf = ({ calls, tokensIn, tokensOut, costUsd }: SqlRow): UsageSum => ({
  calls: Number(calls),
  tokensIn: Number(tokensIn),
  tokensOut: Number(tokensOut),
  costUsd: String(costUsd),
});

/** Throws `bad_cursor`. */
export async function readUsage(sql: TenantSql, page: UsagePage): Promise<UsageList> {
  const size = pageSize(page.limit);
  const values: SqlValue[] = [page.tenant];
  const holds = ["m.tenant = $1"];
  /** `?` stands for the value in the condition; both are ours, the value is data. */
  const where = (condition: string, value: SqlValue | null): void => {
    if (value === null) return;
    values.push(value);
    holds.push(condition.replace("?", `$${values.length}`));
  };
  where("c.owner = ?", page.owner);
  where("m.model = ?", page.model);
  where("m.at >= ?::timestamptz", page.from);
  where("m.at < ?::timestamptz", page.to);
  const joined =
    page.owner === null
      ? "read.model_calls m"
      : "read.model_calls m JOIN read.conversations c ON c.tenant = m.tenant AND c.id = m.conversation";
  const from = `FROM ${joined} WHERE ${holds.join(" AND ")}`;
  const all = [...values];
  const after = page.cursor === undefined ? null : readCursor("usage", page.cursor, isPlace);
  let behind = "";
  if (after !== null) {
    values.push(...after);
    const [day, provider, model] = [2, 1, 0].map((back) => `$${values.length - back}`);
    behind = `WHERE (days.day, days.provider, days.model) < (${day}::text, ${provider}::text, ${model}::text)`;
  }
  const [rows, [total]] = await Promise.all([
    sql.query(
      `SELECT * FROM (
         SELECT to_char(m.at AT TIME ZONE 'UTC', 'YYYY-MM-DD') COLLATE "C" AS day,
           m.provider COLLATE "C" AS provider, m.model COLLATE "C" AS model, ${sums}
         ${from} GROUP BY 1, 2, 3) days
       ${behind} ORDER BY days.day DESC, days.provider DESC, days.model DESC LIMIT $${values.length + 1}`,
      [...values, size + 1],
      false,
    ),
    sql.query(`SELECT ${sums} ${from}`, all, false),
  ]);
  const items = rows.slice(0, size).map((row): UsageItem => ({
    day: String(row["day"]),
    provider: String(row["provider"]),
    model: String(row["model"]),
    ...sumOf(row),
  }));
  const last = items.at(-1);
  const more = rows.length > size && last !== undefined;
  const next = more ? writeCursor("usage", [last.day, last.provider, last.model]) : null;
  return { items, next, total: sumOf(total ?? {}) };
}
