/**
 * `colloquy projections`: what is read from the log, and the operator's hand on it. Every deed works
 * beside a running installation as well as on a data folder that nobody serves.
 */
import { logSource } from "../projections/log-source.ts";
import type { Database } from "../projections/postgres.ts";
import type { Projector } from "../projections/projector.ts";
import { projectors } from "../projections/projectors/all.ts";
import { buildPast, rebuild, type RebuildPorts } from "../projections/rebuild/rebuild.ts";
import { retryParked } from "../projections/rebuild/retry.ts";
import { rollback } from "../projections/rebuild/rollback.ts";
import { readParkedActors, readStatus } from "../projections/rebuild/status.ts";
import { dropGeneration, pastViews } from "../projections/rebuild/swap.ts";
import { verify } from "../projections/rebuild/verify.ts";
import { ensureCatalog } from "../projections/catalog.ts";
import { isUuid, systemClock } from "../schemas/ids.ts";
import { readBatch } from "../streams/batches.ts";
import type { Streams } from "../streams/connection.ts";
import type { Log } from "../streams/log.ts";
import { announcePosition } from "../streams/positions.ts";
import { readFast } from "../streams/reader-aside.ts";
import { events_stream } from "../streams/topology.ts";
import { type Arguments, data_flag } from "./arguments.ts";
import type { Command } from "./command.ts";
import { CliError, exit_usage, readConfig } from "./config.ts";
import { openInstallation } from "./installation.ts";
import { nearest } from "./nearest.ts";
import { createMeter, type Meter } from "./progress.ts";
import { columns, differenceLines, parkedLine, statusLines } from "./projections-text.ts";
import { printable, say } from "./terminal.ts";

const of_all = { json: "for programs", ...data_flag } as const;
const one_or_all = { words: "<name>", words_max: 1 } as const;

export const projections: Command = {
  summary: "what is read from the log",
  usual: "status",
  deeds: {
    list: {
      summary: "lists the read models that this release knows",
      flags: { json: of_all.json },
      run: list,
    },
    status: {
      summary: "shows each generation: version, state, position, lag, parked actors, size",
      flags: of_all,
      run: (given) => at(given, status),
    },
    rebuild: {
      summary: "builds read models anew beside the live ones, and swaps them in",
      ...one_or_all,
      flags: {
        all: "of them",
        until: "<sequence or time> as they were then, with views of their own, and no swap",
        ...of_all,
      },
      run: (given) => at(given, rebuilding),
    },
    rollback: {
      summary: "shows again what was shown before the last swap",
      ...one_or_all,
      flags: of_all,
      run: (given) => at(given, rollingBack),
    },
    drop: {
      summary: "removes what is not live of a read model",
      ...one_or_all,
      flags: { generation: "<number> only this one", ...of_all },
      run: (given) => at(given, drop),
    },
    verify: {
      summary:
        "compares read models with what the log gives, row by row; exit code 1 when one differs",
      ...one_or_all,
      flags: { all: "of them", ...of_all },
      run: (given) => at(given, verifying),
    },
    retry: {
      summary: "applies again what parked an actor",
      words: "<actor id>",
      words_max: 1,
      flags: of_all,
      run: (given) => at(given, retry),
    },
  },
};

/** What a deed works with. */
interface Desk {
  readonly given: Arguments;
  readonly streams: Streams;
  readonly log: Log;
  readonly database: Database;
  readonly meter: Meter;
  readonly ports: RebuildPorts;
}

/** An index over millions of rows takes its time; nobody waits for it. */
const statement_ms = 6 * 3_600_000;

async function at(given: Arguments, work: (desk: Desk) => Promise<number>): Promise<number> {
  check(given);
  const config = readConfig({ COLLOQUY_DATA: given.value("data") });
  const installation = await openInstallation(config);
  const stopping = new AbortController();
  const stop = (): void => stopping.abort();
  const json = given.on("json");
  const meter = createMeter({ json, terminal: process.stderr.isTTY }, () => Date.now());
  process.once("SIGINT", stop).once("SIGTERM", stop);
  try {
    const { streams } = installation;
    const { log, vault, access } = await installation.log();
    const database = await installation.database({ statement_ms });
    await ensureCatalog(database, projectors);
    const ports: RebuildPorts = {
      source: logSource(log, (reading) => readFast(streams, vault, access, reading)),
      ...{ database, clock: systemClock, signal: stopping.signal },
      announce: (name, sequence) => announcePosition(streams, name, sequence),
      progress: (progress) => meter.show(progress),
      step: (what) => meter.note(what),
      waits: (why) => meter.note(why),
    };
    return await work({ given, streams, log, database, meter, ports });
  } finally {
    meter.end();
    process.off("SIGINT", stop).off("SIGTERM", stop);
    await installation.close();
  }
}

const usage = (holds: boolean, sentence: string): void => {
  if (!holds) throw new CliError(sentence, exit_usage);
};

/** What can be said to be wrong before any server is asked. */
function check(given: Arguments): void {
  const generation = given.value("generation");
  usage(
    generation === undefined || /^[1-9]\d{0,8}$/.test(generation),
    "--generation is the number of one, as status shows it.",
  );
  const until = given.value("until");
  usage(
    until === undefined || /^\d{1,15}$/.test(until) || !Number.isNaN(Date.parse(until)),
    "--until is a sequence of the log, or a time such as 2026-01-31T12:00:00Z.",
  );
}

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

const nameOf = ({ rest }: Arguments): string => {
  usage(rest.length === 1, `Name one of ${projectors.map(({ name }) => name).join(", ")}.`);
  return rest[0] ?? "";
};

/** The one that was named, or all. */
function chosen(given: Arguments): readonly Projector[] {
  const all = given.on("all");
  usage(all !== given.rest.length > 0, "Name a read model, or say --all.");
  return all ? projectors : [projectorOf(nameOf(given))];
}

function list(given: Arguments): number {
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

async function status({ given, database, log }: Desk): Promise<number> {
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

async function rebuilding({ given, streams, log, ports, meter }: Desk): Promise<number> {
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

async function rollingBack({ given, ports, meter }: Desk): Promise<number> {
  const name = nameOf(given);
  projectorOf(name);
  const { version, generation, state } = await rollback(ports, projectors, name);
  meter.end();
  tell(given, { name, version, generation, was: state }, [
    `${name} shows generation ${generation} (version ${version}) again; the other is kept.`,
  ]);
  return 0;
}

async function drop({ given, database, log }: Desk): Promise<number> {
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

async function verifying({ given, ports, meter }: Desk): Promise<number> {
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

async function retry({ given, database, log }: Desk): Promise<number> {
  const id = given.rest[0] ?? "";
  usage(isUuid(id), "Name an actor by its id, as status shows it.");
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
