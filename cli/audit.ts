/**
 * `colloquy audit`: who did what when, newest first, as the read model says. It holds nothing that
 * anybody wrote; where it is behind the log or has parked an actor, that is said beside it.
 */
import { type AuditFilter, listAudit, parkedActors } from "../projections/queries/audit.ts";
import { type Database, sqlState } from "../projections/postgres.ts";
import { type EventType, eventTypes } from "../schemas/events.ts";
import type { AuditEntry } from "../schemas/http.ts";
import { type By, isTenant, isUuid, type Kind, kinds } from "../schemas/ids.ts";
import { limits } from "../schemas/limits.ts";
import { timeOf } from "../schemas/times.ts";
import { lastSequence } from "../streams/log/log.ts";
import { type Arguments, data_flag } from "./line/arguments.ts";
import type { Deed } from "./line/command.ts";
import { CliError, exit_usage } from "./line/cli-error.ts";
import { readConfig } from "./config.ts";
import { type Installation, openInstallation } from "./folder/installation.ts";
import { nearest } from "./line/nearest.ts";
import { complain, printable, say } from "./line/terminal.ts";

const listed_default = 100;
const listed_max = 100_000;
const by_types: readonly By["type"][] = ["user", "integration", "system"];

export const audit: Deed = {
  summary: "who did what when, newest first",
  flags: {
    tenant: "<slug> whose; COLLOQUY_TENANT when absent",
    by: "<id> of who did it",
    "by-type": `<type> of who did it: ${by_types.join(", ")}`,
    type: "<type> of an event in it, like conversation.deleted",
    actor: "<id> of the conversation that it happened to",
    kind: `<kind> of actor that it happened to: ${kinds.join(", ")}`,
    command: "<id> of the command that did it",
    trace: "<id> of the trace, 32 hex digits",
    from: "<time> the oldest, like 2026-11-21 or 2026-11-21T05:00:00Z",
    to: "<time> the newest, without that moment",
    limit: `<number> of entries at most, ${listed_default} when absent`,
    json: "for programs",
    ...data_flag,
  },
  run,
};

async function run(given: Arguments): Promise<number> {
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const tenant = given.value("tenant") ?? config.get("COLLOQUY_TENANT") ?? "main";
  if (!isTenant(tenant)) throw wrong("tenant", "a slug of a-z, 0-9 and -");
  const filter = filterOf(given);
  const limit = limitOf(given);
  const installation = await openInstallation(config);
  try {
    const database = await installation.database();
    const { entries, more } = await read(database, tenant, filter, limit);
    if (given.on("json")) say(JSON.stringify(entries, null, 2));
    else {
      if (entries.length === 0) say("There is nothing of the kind.");
      for (const entry of entries) for (const line of linesOf(entry)) say(line);
      if (more) say("… and more; --limit shows it.");
    }
    for (const doubt of await doubts(installation, database, tenant, filter)) complain(doubt);
    return 0;
  } finally {
    await installation.close();
  }
}

async function read(
  database: Database,
  tenant: string,
  filter: AuditFilter,
  limit: number,
): Promise<{ entries: AuditEntry[]; more: boolean }> {
  const entries: AuditEntry[] = [];
  let cursor: string | null = null;
  try {
    do {
      const size = Math.min(limits.page_max, limit - entries.length);
      const page = { tenant, filter, limit: size, ...(cursor === null ? {} : { cursor }) };
      const { items, next } = await listAudit(database, page);
      entries.push(...items);
      cursor = next;
    } while (cursor !== null && entries.length < limit);
  } catch (error) {
    if (sqlState(error) !== "42P01") throw error;
    throw new CliError("There is no audit in this database yet; `colloquy serve` makes it.", 1, {
      cause: error,
    });
  }
  return { entries, more: cursor !== null };
}

/** What the entries do not say: that newer ones are still to come, or missing. */
async function doubts(
  { streams, served }: Installation,
  database: Database,
  tenant: string,
  filter: AuditFilter,
): Promise<string[]> {
  const said: string[] = [];
  const end = await lastSequence(streams);
  const [row] = await database.query("SELECT position FROM read.positions WHERE name = 'audit'");
  const position = Number(row?.["position"] ?? 0);
  if (position < end) {
    const then = served ? "the rest is on its way" : "`colloquy serve` brings the rest";
    said.push(`The audit has come to ${position} of ${end} commits; ${then}.`);
  }
  for (const { kind, id } of await parkedActors(database, { tenant, filter })) {
    said.push(`Of ${kind} ${id} later entries are missing: it is parked.`);
  }
  return said;
}

function linesOf(entry: AuditEntry): string[] {
  const { at, by, actions, kind, id, revision, lastRevision, command, traceId } = entry;
  const events = revision === lastRevision ? `${revision}` : `${revision}-${lastRevision}`;
  const trace = traceId === null ? "" : `, trace ${traceId}`;
  return [
    `${at}  ${by.type} ${printable(by.id)}  ${actions.join(" ")}`,
    `    ${kind} ${id} revision ${events}, command ${command}${trace}`,
  ];
}

const wrong = (flag: string, form: string): CliError =>
  new CliError(`--${flag} is ${form}.`, exit_usage);

function filterOf(given: Arguments): AuditFilter {
  const value = <T extends string>(
    flag: string,
    form: string,
    parse: (text: string) => T | null,
  ) => {
    const text = given.value(flag);
    if (text === undefined) return null;
    const parsed = parse(text);
    if (parsed === null) throw wrong(flag, form);
    return parsed;
  };
  const one = <T extends string>(flag: string, values: readonly T[]): T | null => {
    const text = given.value(flag);
    if (text === undefined) return null;
    const found = values.find((candidate) => candidate === text);
    if (found !== undefined) return found;
    const near = nearest(text, values);
    throw new CliError(`--${flag} "${printable(text)}": did you mean ${near}?`, exit_usage);
  };
  const uuid = (text: string): string | null => (isUuid(text) ? text : null);
  const time = "a day or a time with its zone, like 2026-11-21T05:00:00Z";
  return {
    kind: one<Kind>("kind", kinds),
    actor: value("actor", "a lowercase UUID", uuid),
    by: value("by", "an id of 1 to 128 characters", (text) =>
      /^\P{Cc}{1,128}$/u.test(text) ? text : null,
    ),
    byType: one("by-type", by_types),
    type: one<EventType>("type", eventTypes),
    command: value("command", "a lowercase UUID", uuid),
    trace: value("trace", "32 hex digits", (text) => (/^[0-9a-f]{32}$/.test(text) ? text : null)),
    from: value("from", time, timeOf),
    to: value("to", time, timeOf),
  };
}

function limitOf(given: Arguments): number {
  const text = given.value("limit") ?? String(listed_default);
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit >= 1 && limit <= listed_max) return limit;
  throw wrong("limit", `a number from 1 to ${listed_max}`);
}
