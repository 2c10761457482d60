/** What each deed of `colloquy projections` does, and what is wrong with the words that name one. */
import type { Database } from "../../projections/postgres.ts";
import type { Projector } from "../../projections/projector.ts";
import { projectors } from "../../projections/projectors/all.ts";
import { buildPast, rebuild, type RebuildPorts } from "../../projections/rebuild/rebuild.ts";
import { retryParked } from "../../projections/rebuild/retry.ts";
import { rollback } from "../../projections/rebuild/rollback.ts";
import { readParkedActors, readStatus } from "../../projections/rebuild/status.ts";
import { dropGeneration, pastViews } from "../../projections/rebuild/swap.ts";
import { verify } from "../../projections/rebuild/verify.ts";
import { isUuid } from "../../schemas/ids.ts";
import { readBatch } from "../../streams/log/batches.ts";
import type { Streams } from "../../streams/connection.ts";
import type { Log } from "../../streams/log/log.ts";
import { events_stream } from "../../streams/topology.ts";
import type { Arguments } from "../line/arguments.ts";
import { CliError, exit_usage } from "../line/cli-error.ts";
import { nearest } from "../line/nearest.ts";
import type { Meter } from "../line/progress.ts";
import { columns, differenceLines, parkedLine, statusLines } from "./text.ts";
import { printable, say } from "../line/terminal.ts";

/** What a deed works with. */
export interface Desk {
  readonly given: Arguments;
  readonly streams: Streams;
  readonly log: Log;
  readonly database: Database;
  readonly meter: Meter;
  readonly ports: RebuildPorts;
}

export const usage = (holds: boolean, sentence: string): void => {
  if (!holds) throw new CliError(sentence, exit_usage);
};

const projectorOf = (name: string): Projector => {
  const found = projectors.find((one) => one.name === name);
  if (found !== undefined) return found;
  const near = nearest(
    name,
    projectors.map((one) => one.name),
  );
  throw new CliError(
    `There is no read model "${printable(name)}"; did you mean ${near}?`,
    exit_usage,
  );
};

export const nameOf = ({ rest }: Arguments): string => {
  usage(rest.length === 1, `Name one of ${projectors.map(({ name }) => name).join(", ")}.`);
  return rest[0] ?? "";
};

/** The one that was named, or all. */
export function chosen(given: Arguments): readonly Projector[] {
  const all = given.on("all");
  usage(all !== given.rest.length > 0, "Name a read model, or say --all.");
  return all ? projectors : [projectorOf(nameOf(given))];
}

export function list(given: Arguments): number {
  const all = projectors.map(({ name, version, kinds, sheets }) => ({
    ...{ name, version, kinds },
    tables: sheets.map(({ table }) => table.name),
  }));
  if (given.on("json")) say(JSON.stringify(all));
  else {
    const rows = all.map(({ name, version, kinds, tables }) => [
      ...[name, String(version), tables.join(", "), kinds.join(", ")],
    ]);
    for (const line of columns([["name", "version", "tables", "of"], ...rows])) say(line);
  }
  return 0;
}

export async function status({ given, database, log }: Desk): Promise<number> {
  const all = await readStatus(database, await log.lastSequence());
  const parked = await readParkedActors(database, null);
  if (given.on("json")) {
    say(JSON.stringify({ generations: all, parked }));
    return 0;
  }
  for (const line of statusLines(all)) say(line);
  for (const one of parked) say(parkedLine(one));
  if (parked.length > 0) say("colloquy projections retry <actor id> applies them again.");
  return 0;
}

export async function rebuilding({ given, streams, log, ports, meter }: Desk): Promise<number> {
  const some = chosen(given);
  const until = given.value("until");
  if (until === undefined) {
    const { generations, done } = await rebuild(ports, some);
    meter.end();
    const names = generations.map(({ projector }) => projector.name);
    tell(given, { done, rebuilt: names }, [
      done
        ? `Rebuilt and live: ${names.join(", ")}. What was shown before is kept and fed until "colloquy projections drop".`
        : "Stopped; the same command goes on from there.",
    ]);
    return done ? 0 : 1;
  }
  const end = await log.lastSequence();
  const sequence = /^\d+$/.test(until) ? Number(until) : await sequenceAt(streams, until, end);
  usage(sequence <= end, `The log ends at ${end}.`);
  const { done } = await buildPast(ports, some, sequence);
  meter.end();
  const views = some.flatMap(({ sheets }) =>
    sheets.map(({ table }) => `${pastViews(sequence)}.${table.name}`),
  );
  tell(given, { done, until: sequence, views: done ? views : [] }, [
    ...(done
      ? [`As it was at ${sequence}:`, ...views.map((view) => `    ${view}`)]
      : ["Stopped; the same command goes on from there."]),
    ...(done ? [`"colloquy projections drop <name>" removes them.`] : []),
  ]);
  return done ? 0 : 1;
}

/** The last sequence that the log had stored at a time. */
async function sequenceAt(streams: Streams, time: string, end: number): Promise<number> {
  const start_time = new Date(Date.parse(time) + 1);
  const { messages } = await readBatch(streams, events_stream, "evt.>", { start_time });
  return (messages[0]?.seq ?? end + 1) - 1;
}

export async function rollingBack({ given, ports, meter }: Desk): Promise<number> {
  const name = nameOf(given);
  projectorOf(name);
  const { version, generation, state } = await rollback(ports, projectors, name);
  meter.end();
  tell(given, { name, version, generation, was: state }, [
    `${name} shows generation ${generation} (version ${version}) again; the other is kept.`,
  ]);
  return 0;
}

export async function drop({ given, database, log }: Desk): Promise<number> {
  const name = nameOf(given);
  const number = given.value("generation");
  const all = (await readStatus(database, await log.lastSequence())).filter(
    (one) => one.name === name,
  );
  if (all.length === 0) projectorOf(name);
  const some = all.filter(
    ({ state, generation }) =>
      (number === undefined || generation === Number(number)) && state !== "live",
  );
  if (number !== undefined && some.length === 0) {
    throw new CliError(`Generation ${number} of ${name} is live, or there is none.`);
  }
  for (const one of some) await dropGeneration(database, one);
  tell(given, { name, dropped: some.map(({ generation }) => generation) }, [
    some.length === 0
      ? `Nothing of ${name} is there but the live one.`
      : `Dropped of ${name}: generation ${some.map(({ generation }) => generation).join(", ")}.`,
  ]);
  return 0;
}

/** Rows that are printed of one read model. */
const printed_max = 100;

export async function verifying({ given, ports, meter }: Desk): Promise<number> {
  let wrong = 0;
  for (const projector of chosen(given)) {
    const { name } = projector;
    meter.note(`Building ${name} aside.`);
    const { differences, position } = await verify(ports, projector);
    meter.end();
    wrong += differences.length;
    if (given.on("json")) say(JSON.stringify({ what: "verified", name, position, differences }));
    else {
      for (const one of differences.slice(0, printed_max)) {
        for (const line of differenceLines(one)) say(line);
      }
      if (differences.length > printed_max) say(`… and more; --json shows them.`);
      const rows = differences.length === 1 ? "1 row differs" : `${differences.length} rows differ`;
      say(`${name}: ${differences.length === 0 ? "no row differs" : rows} at ${position}.`);
    }
  }
  return wrong === 0 ? 0 : 1;
}

export function actorOf({ rest: [id = ""] }: Arguments): string {
  usage(isUuid(id), "Name an actor by its id, as status shows it.");
  return id;
}

export async function retry({ given, database, log }: Desk): Promise<number> {
  const id = actorOf(given);
  const parked = await readParkedActors(database, id);
  if (parked.length === 0) throw new CliError(`Nothing of ${id} is parked.`);
  for (const one of parked) {
    const commits = await retryParked(database, projectors, one, (ref, after) =>
      log.read(ref, after),
    );
    const { projector, generation } = one;
    tell(given, { projector, generation, id, commits }, [
      `${projector} (generation ${generation}) goes on with ${id}: ${commits} commits applied.`,
    ]);
  }
  return 0;
}

function tell(given: Arguments, result: object, lines: readonly string[]): void {
  if (given.on("json")) say(JSON.stringify({ ...result, what: "result" }));
  else for (const line of lines) say(line);
}
